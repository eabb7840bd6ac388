//! Finds circles among objects that name others of their kind.

/// Most names on one path; deeper nesting is refused like a circle.
const DEPTH_MAX: usize = 64;

/// A path from `start` back to itself, or a path that is too long, as `a -> b -> a`.
pub fn circle(start: &str, next: &dyn Fn(&str) -> Vec<String>) -> Option<String> {
    let mut path = vec![start.to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    walk(&mut path, &mut seen, next).then(|| path.join(" -> "))
}

/// Depth-first search. It visits each name once, and leaves the circle in `path` if there is one.
fn walk(
    path: &mut Vec<String>,
    seen: &mut std::collections::BTreeSet<String>,
    next: &dyn Fn(&str) -> Vec<String>,
) -> bool {
    let Some(here) = path.last().cloned() else { return false };
    for name in next(&here) {
        let returns = path.contains(&name) || path.len() >= DEPTH_MAX;
        if !returns && !seen.insert(name.clone()) {
            continue;
        }
        path.push(name);
        if returns || walk(path, seen, next) {
            return true;
        }
        path.pop();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::circle;

    fn edges(name: &str) -> Vec<String> {
        let to: &[&str] = match name {
            "a" => &["b", "c"],
            "b" => &["d"],
            "c" => &["d", "e"],
            "e" => &["c"],
            _ => &[],
        };
        to.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_is_shown_and_a_diamond_is_none() {
        assert_eq!(circle("a", &edges).as_deref(), Some("a -> c -> e -> c"));
        assert_eq!(circle("b", &edges), None);
    }
}
