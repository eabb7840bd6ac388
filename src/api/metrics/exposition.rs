//! Writes families of metrics with `prometheus-client`, in the text format of OpenMetrics 1.0.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::durations::{BUCKET_MICROS, DurationCounts};

/// The media type of the page (OpenMetrics 1.0).
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values of labels. No label is the id or the address of a machine: there would be as many rows.
pub type MetricLabels = Vec<(&'static str, Cow<'static, str>)>;

/// The labels of a row without any.
pub const NO_LABELS: MetricLabels = Vec::new();

/// Writes families to a page. A family without rows has its help and type all the same.
pub struct PageEncoder<'a>(DescriptorEncoder<'a>);

impl PageEncoder<'_> {
    /// A family of counters; its name ends in `_total`.
    pub fn counters(
        &mut self,
        (name, about): (&str, &str),
        rows: impl IntoIterator<Item = (MetricLabels, u64)>,
    ) -> fmt::Result {
        // The encoder adds the ending to each row.
        let name = name.strip_suffix("_total").unwrap_or(name);
        let mut family = self.0.encode_descriptor(name, about, None, MetricType::Counter)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                family.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
            } else {
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    /// A family of gauges.
    pub fn gauges<V: EncodeGaugeValue>(
        &mut self,
        (name, about): (&str, &str),
        rows: impl IntoIterator<Item = (MetricLabels, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, about, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// A family of histograms of seconds.
    pub fn histograms(
        &mut self,
        (name, about): (&str, &str),
        rows: impl IntoIterator<Item = (MetricLabels, DurationCounts)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, about, None, MetricType::Histogram)?;
        for (labels, counts) in rows {
            let ends = BUCKET_MICROS.map(|micros| Duration::from_micros(micros).as_secs_f64());
            let ends = ends.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = ends.zip(counts.buckets).collect();
            let (sum, count) = (counts.seconds, counts.count());
            if labels.is_empty() {
                family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            } else {
                family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

/// What writes its families when the page is asked for.
pub trait MetricSource: Debug + Send + Sync + 'static {
    /// # Errors
    /// What the encoder says.
    fn write(&self, page: &mut PageEncoder<'_>) -> fmt::Result;
}

#[derive(Debug)]
struct SourceCollector<S>(S);

impl<S: MetricSource> Collector for SourceCollector<S> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut PageEncoder(encoder))
    }
}

/// The whole page of a source.
///
/// # Errors
/// What the encoder says.
pub fn page(source: impl MetricSource) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(SourceCollector(source)));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Sample;

    impl MetricSource for Sample {
        fn write(&self, page: &mut PageEncoder<'_>) -> fmt::Result {
            page.counters(("a_total", "Counts."), [(vec![("by", "x\"y".into())], 3)])?;
            page.counters(("none_total", "Nothing yet."), [])?;
            page.gauges(("b", "Is."), [(NO_LABELS, 4_u64)])?;
            let counts = DurationCounts { seconds: 0.5, buckets: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2] };
            page.histograms(("c_seconds", "Takes."), [(vec![("route", "r".into())], counts)])
        }
    }

    #[test]
    fn a_page_is_written_in_the_format_that_prometheus_reads() {
        let page = page(Sample).unwrap();
        for line in [
            "# HELP a Counts.\n# TYPE a counter\na_total{by=\"x\\\"y\"} 3\n",
            "# TYPE none counter\n# HELP b Is.\n# TYPE b gauge\nb 4\n",
            "c_seconds_count{route=\"r\"} 3\n",
            "c_seconds_bucket{le=\"0.0001\",route=\"r\"} 1\n",
            "c_seconds_bucket{le=\"+Inf\",route=\"r\"} 3\n",
        ] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
    }
}
