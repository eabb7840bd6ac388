//! Rules for DHCP options, in every object that has them: values that can be sent, templates that can be
//! parsed.

use crate::dhcp::decide;
use crate::model::{OptionSet, Problem, ReadyValue, RefusalCode};
use crate::render;

/// The faults of `options`, which are at `pointer` in their object.
pub fn faults(options: &OptionSet, pointer: &str) -> Vec<Problem> {
    let mut problems = decide::check_options(options, pointer);
    for option in decide::ready_options(options) {
        if let ReadyValue::Template(text) = &option.value {
            let name = option.name.replace('~', "~0").replace('/', "~1");
            let fault = template_fault(text);
            problems.extend(
                fault.map(|fault| {
                    Problem::new(format!("{pointer}/{name}"), fault).coded(RefusalCode::Template)
                }),
            );
        }
    }
    problems
}

/// The fault of a text that is rendered for each client. Such a text cannot include other templates.
pub fn template_fault(text: &str) -> Option<String> {
    let named = render::included(text);
    if !(named.names.is_empty() && named.folders.is_empty()) {
        return Some("this text cannot include templates, nor extend one".to_owned());
    }
    render::check((render::INLINE, text).into(), []).map(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::template_fault;

    #[test]
    fn a_text_that_is_rendered_for_each_client_includes_no_templates() {
        assert_eq!(template_fault("{{ machine.short_name | upper }}"), None);
        for text in [
            "{% include \"x\" %}",
            "{{ include_from(folder=\"x\", name=\"y\") }}",
            "{{ include_optional(name=\"x\") }}",
        ] {
            assert!(template_fault(text).is_some(), "{text}");
        }
    }
}
