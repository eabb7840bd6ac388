//! Tests of the rows of nouns.

use crate::model::{Kind, NounRow, World};

#[test]
fn the_word_of_a_row_is_the_word_in_json() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert_eq!(Kind::of_word(kind.as_str()), Some(kind));
    }
}

#[test]
fn what_a_noun_refers_to_is_applied_before_it() {
    for kind in Kind::ALL {
        for referring in World::referring_kinds(kind).filter(|referring| *referring != kind) {
            let (first, then) = (kind.row().apply_order, referring.row().apply_order);
            assert!(first < then, "{referring} names {kind}");
        }
    }
}

#[test]
fn a_table_begins_with_what_people_know_the_object_by() {
    for kind in Kind::ALL {
        let NounRow { columns, wide, name_field, .. } = kind.row();
        let first = columns.first().map(|column| column.1);
        match kind {
            // People know them by their machine; the wide table has the id.
            Kind::Job | Kind::Run => assert!(wide.iter().any(|column| column.1 == *name_field), "{kind}"),
            _ => assert_eq!(first, Some(*name_field), "{kind}"),
        }
    }
}
