//! Names and dates in files that people share.
//!
//! Models, exported graphs and reports leave the machine. The folders of that machine are private,
//! so only the names of files and of last folders are written into them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// A source without the folders above it: `folder:/home/ann/photos` becomes `folder:photos`.
///
/// ```
/// use tercet_train::sharing::source_name;
/// assert_eq!(source_name("folder:/home/ann/photos"), "folder:photos");
/// assert_eq!(source_name("features:../v/train.npy"), "features:train.npy");
/// assert_eq!(source_name("glyphs"), "glyphs");
/// ```
pub fn source_name(source: &str) -> String {
    let is_kind =
        |kind: &str| kind.len() > 1 && kind.chars().all(|letter| letter.is_ascii_alphanumeric());
    match source.split_once(':').filter(|(kind, _)| is_kind(kind)) {
        Some((kind, path)) => match file_name(path) {
            Some(name) => format!("{kind}:{name}"),
            None => kind.to_owned(),
        },
        None => file_name(source).unwrap_or_else(|| source.to_owned()),
    }
}

/// The last component of a path; for `.` and `..`, the name of that folder.
pub fn file_name(path: &str) -> Option<String> {
    let last = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    last(Path::new(path))
        .or_else(|| last(&Path::new(path).canonicalize().ok()?))
        .map(|name| name.rsplit('\\').next().map_or(name.clone(), str::to_owned))
}

/// Short names that distinguish several paths: as many last components as that needs. Text from
/// ` + ` on is retained.
///
/// ```
/// use tercet_train::sharing::distinct_names;
/// let names = ["/x/runs/a/model.safetensors", "/x/runs/b/model.safetensors + pca 8"];
/// assert_eq!(distinct_names(names), ["a/model.safetensors", "b/model.safetensors + pca 8"]);
/// assert_eq!(distinct_names(["/home/ann/e.npy"]), ["e.npy"]);
/// ```
pub fn distinct_names<'name>(names: impl IntoIterator<Item = &'name str>) -> Vec<String> {
    let parts: Vec<(Vec<&str>, &str)> = names
        .into_iter()
        .map(|name| {
            let (path, rest) = name.split_at(name.find(" + ").unwrap_or(name.len()));
            (path.split(['/', '\\']).filter(|part| !part.is_empty()).collect(), rest)
        })
        .collect();
    let wanted = parts.iter().map(|(path, _)| path).collect::<BTreeSet<_>>().len();
    let longest = parts.iter().map(|(path, _)| path.len()).max().unwrap_or(1).max(1);
    let last = |path: &[&str], kept: usize| path[path.len().saturating_sub(kept)..].join("/");
    let are_distinct = |&kept: &usize| {
        parts.iter().map(|(path, _)| last(path, kept)).collect::<BTreeSet<_>>().len() == wanted
    };
    let kept = (1..longest).find(are_distinct).unwrap_or(longest);
    parts.iter().map(|(path, rest)| last(path, kept) + rest).collect()
}

/// The setting that is a pattern and not a path, even if it contains slashes.
pub(crate) const PATTERN: &str = "label-from";

/// Removes the folders from the paths in the configuration of a training run; its lists of classes
/// are unchanged.
pub(crate) fn hide_folders(config: &mut Value) {
    let Value::Object(config) = config else { return };
    for (key, value) in config {
        let Value::String(text) = value else { continue };
        if key == "source" {
            *text = source_name(text);
        } else if key != PATTERN
            && text.contains(['/', '\\'])
            && let Some(name) = file_name(text)
        {
            *text = name;
        }
    }
}

/// The current date and time in UTC, to the minute: `2026-11-30 22:41 UTC`.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date(since.as_secs())
}

fn date(seconds: u64) -> String {
    let (days, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
    // Days are counted from 1 March of year 0, so that the leap day is the last of its year
    // (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + later;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_796_078_460), "2026-11-30 22:41 UTC");
        assert_eq!(date(4_107_542_399), "2100-02-28 23:59 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00 UTC");
    }

    #[test]
    fn no_folder_stays_in_a_configuration_but_in_names_of_classes() {
        let mut config = serde_json::json!({
            "source": "lfw:/home/ann/faces/",
            "labels": "/home/ann/labels.txt",
            "pretrained": "../weights/resnet18.pth",
            "holdout-classes": ["Greek/character01"],
            "augment": "photo:rotate=20",
            "label-from": r"^(\d+)/",
            "steps": 600,
        });
        hide_folders(&mut config);
        assert_eq!(
            config,
            serde_json::json!({
                "source": "lfw:faces",
                "labels": "labels.txt",
                "pretrained": "resnet18.pth",
                "holdout-classes": ["Greek/character01"],
                "augment": "photo:rotate=20",
                "label-from": r"^(\d+)/",
                "steps": 600,
            })
        );
    }

    #[test]
    fn sources_keep_their_kind_and_last_name() {
        assert_eq!(source_name("/home/ann/photos"), "photos");
        assert_eq!(source_name("texts:/home/ann/mail.csv"), "texts:mail.csv");
        assert_eq!(source_name("folder:C:\\photos\\cats"), "folder:cats");
        let here = source_name("folder:.");
        assert!(here.starts_with("folder:") && !here.contains('/') && here.len() > 8, "{here}");
    }
}
