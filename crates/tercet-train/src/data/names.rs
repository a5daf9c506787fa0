//! Class names that a user or a file gives, compared with the classes of the data.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use tercet::Labels;
use unicode_normalization::UnicodeNormalization;

use super::DataError;
use crate::printable::printable;
use crate::reading::read_text;

/// Number of names that are suggested for one that is not a class.
const SUGGESTED: usize = 3;

/// The smallest similarity of a suggestion, 0 to 1 (normalised Damerau-Levenshtein).
const ALIKE: f64 = 0.6;

/// The class names in a file, one per line. A byte order mark, blanks and tabs at the ends of a
/// line, empty lines and repeated names are ignored.
///
/// # Errors
/// A file that cannot be read as text in UTF-8, or that contains no class.
pub fn named_classes(path: &Path) -> Result<BTreeSet<String>, DataError> {
    let text = read_text(path)
        .map_err(|reason| DataError::Unreadable { path: path.to_owned(), reason })?;
    let names: BTreeSet<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match names.is_empty() {
        true => Err(DataError::Nothing {
            path: path.to_owned(),
            found: "no class".to_owned(),
            expected: "the name of a class on each line".to_owned(),
        }),
        false => Ok(names),
    }
}

/// The classes with these names. If no class has exactly a given name, blanks at its ends are
/// ignored.
///
/// `parameter` and `source` are used in the error: the option, and the data.
///
/// # Errors
/// [`DataError::UnknownClasses`] if a name is not a class, with the most similar names.
pub fn classes_named(
    labels: &Labels,
    names: &BTreeSet<String>,
    parameter: &'static str,
    source: &str,
) -> Result<BTreeSet<u32>, DataError> {
    let all = || (0..labels.class_count() as u32).map(|class| (labels.name(class), class));
    let exact: HashMap<&str, u32> = all().collect();
    let trimmed: HashMap<&str, u32> = all().map(|(name, class)| (name.trim(), class)).collect();
    let (mut found, mut unknown) = (BTreeSet::new(), Vec::new());
    for name in names {
        match exact.get(name.as_str()).or_else(|| trimmed.get(name.trim())) {
            Some(&class) => drop(found.insert(class)),
            None => unknown.push(name),
        }
    }
    let Some(first) = unknown.first() else { return Ok(found) };
    let suggested = suggestions(first, all().map(|(name, _)| name));
    let listed = |names: &[&str]| {
        names.iter().map(|name| format!("`{}`", printable(name))).collect::<Vec<_>>().join(", ")
    };
    let hint = match (suggested.is_empty(), labels.class_count()) {
        (false, _) => format!("did you mean {}?", listed(&suggested)),
        (true, 0) => "there is no class at all".to_owned(),
        (true, _) => {
            let first: Vec<&str> = all().map(|(name, _)| name).take(SUGGESTED).collect();
            format!("its classes are named as {}", listed(&first))
        }
    };
    Err(DataError::UnknownClasses {
        parameter,
        name: printable(first).into_owned(),
        others: unknown.len() - 1,
        text: source.to_owned(),
        classes: labels.class_count(),
        hint,
    })
}

/// The items of these classes, in increasing order.
///
/// # Errors
/// The errors of [`classes_named`].
pub fn items_named(
    labels: &Labels,
    names: &BTreeSet<String>,
    parameter: &'static str,
    source: &str,
) -> Result<Vec<u32>, DataError> {
    let classes = classes_named(labels, names, parameter, source)?;
    let items = (0..).zip(labels.classes()).filter(|(_, class)| classes.contains(class));
    Ok(items.map(|(item, _)| item).collect())
}

/// The most similar names, the best first.
fn suggestions<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |name: &str| name.trim().nfc().collect::<String>().to_lowercase();
    let wanted = plain(name);
    let mut scored: Vec<(f64, &str)> = names
        .map(|other| (strsim::normalized_damerau_levenshtein(&wanted, &plain(other)), other))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    scored.into_iter().take(SUGGESTED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_list_is_read_whatever_editor_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("classes.txt");
        fs::write(&file, "\u{feff}ann \t\r\n\r\n  \nあ\nann\nbob, 2").unwrap();
        let names = named_classes(&file).unwrap();
        assert_eq!(names, ["ann", "bob, 2", "あ"].map(str::to_owned).into_iter().collect());
        fs::write(&file, b"\xff\xfea\0\n\0").unwrap();
        let message = named_classes(&file).unwrap_err().to_string();
        assert!(message.contains("classes.txt") && message.contains("UTF-16"), "{message}");
        fs::write(&file, " \n").unwrap();
        assert!(named_classes(&file).unwrap_err().to_string().contains("classes.txt"));
    }

    #[test]
    fn names_that_are_no_class_are_told_with_those_that_are_alike() {
        let labels = Labels::from_iter(["Ann Lee", "Bob", "bob ", "café", "Bob"]);
        let named = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            items_named(&labels, &names, "classes", "folder:x").map_err(|error| error.to_string())
        };
        assert_eq!(named(&["Bob"]), Ok(vec![1, 4]));
        assert_eq!(named(&["bob"]), Ok(vec![2]));
        let message = named(&["Bob", "ann lee", "zzz"]).unwrap_err();
        assert!(message.contains("`ann lee` and 1 more") && message.contains("`Ann Lee`?"));
        assert!(message.contains("folder:x") && message.contains("4 classes"), "{message}");
        assert!(named(&["cafe\u{301}"]).unwrap_err().contains("`café`?"));
        assert!(named(&["qqqqq"]).unwrap_err().contains("named as `Ann Lee`"));
    }
}
