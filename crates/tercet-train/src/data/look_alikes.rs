//! Names that look equal but are not.
//!
//! `é` is one character, or two: an `e` and an accent. macOS writes file names with two (NFD), most
//! other programs with one (NFC); if files of both are copied together, one class becomes two.

use std::collections::HashMap;

use tercet::Labels;
use unicode_normalization::UnicodeNormalization;

use crate::printable::printable;

/// Warnings about classes whose names differ only in how their accents are written, one line for
/// each pair.
pub fn look_alikes(labels: &Labels) -> Vec<String> {
    let names = (0..labels.class_count() as u32).map(|class| labels.name(class));
    let pairs = pairs(names);
    pairs
        .into_iter()
        .map(|[first, second]| {
            let (name, first, second) = (printable(first), form(first), form(second));
            format!(
                "two classes look the same, `{name}`: one name is {first}, the other {second}; they \
                 count as different, rename one of them if they are not"
            )
        })
        .collect()
}

/// Pairs of an earlier name and a later one that looks equal.
fn pairs<'a>(names: impl Iterator<Item = &'a str>) -> Vec<[&'a str; 2]> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut pairs = Vec::new();
    for name in names.filter(|name| !name.is_ascii()) {
        match seen.get(&*name.nfc().collect::<String>()) {
            Some(&first) if first != name => pairs.push([first, name]),
            Some(_) => {}
            None => {
                seen.insert(name.nfc().collect(), name);
            }
        }
    }
    pairs
}

fn form(name: &str) -> &'static str {
    match unicode_normalization::is_nfc(name) {
        true => "composed (NFC)",
        false if unicode_normalization::is_nfd(name) => "decomposed (NFD)",
        false => "partly decomposed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_in_two_forms_is_told() {
        let labels = Labels::from_iter(["café", "cafe\u{301}", "cafe", "café", "が", "か"]);
        let told = look_alikes(&labels);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("composed (NFC)") && told[0].contains("decomposed (NFD)"));
        assert!(look_alikes(&Labels::from_iter(["e", "é", "ê"])).is_empty());
        assert_eq!(look_alikes(&Labels::from_iter(["か\u{3099}", "が"])).len(), 1);
    }
}
