//! Lists of pairs to verify: LFW's `pairs.txt`, or a table of paths.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::DataError;
use super::table::Table;
use crate::reading::read_text;

/// Pairs of items, each known to show the same class or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// The file from which they were read.
    pub path: PathBuf,
    /// The pairs, in the order of the file.
    pub pairs: Vec<ItemPair>,
    /// Number of folds; 1 if the file has none.
    pub folds: u32,
}

/// Two items to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemPair {
    /// An item.
    pub first: u32,
    /// Another one.
    pub second: u32,
    /// Whether they show the same class.
    pub same: bool,
    /// The fold that this pair is tested in, counted from 0.
    pub fold: u32,
}

impl Pairs {
    /// Reads a list of pairs of the items with these ids.
    ///
    /// A file whose name ends in `.csv` is a table with the columns `path1`, `path2`, `same` (1, 0,
    /// true or false) and optionally `fold`; its paths are ids of items. Any other file is read as
    /// LFW's `pairs.txt`: the first line has the number of folds F and the number of pairs N
    /// (`10 300`, or N alone for one fold). For each fold, N lines `NAME I J` with pairs of the
    /// same person and N lines `NAME I OTHER J` with pairs of different people follow, where
    /// `NAME I` is the item `NAME/NAME_000I.*`.
    ///
    /// # Errors
    /// With file and line: a line that is not such a pair, an image that is not among the items, an
    /// item paired with itself; more or fewer lines than the folds have.
    pub fn load(path: &Path, ids: &[impl AsRef<str>]) -> Result<Self, DataError> {
        let is_table = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        let (pairs, folds) = if is_table { table(path, ids) } else { lfw(path, ids) }?;
        Ok(Self { path: path.to_owned(), pairs, folds })
    }
}

/// Reads LFW's list.
fn lfw(path: &Path, ids: &[impl AsRef<str>]) -> Result<(Vec<ItemPair>, u32), DataError> {
    let text = read_text(path)
        .map_err(|reason| DataError::Unreadable { path: path.to_owned(), reason })?;
    let refuse = |line, reason| DataError::Line { path: path.to_owned(), line, reason };
    // Spreadsheets may add blanks and tabs at the ends of lines.
    let lines = (1_u64..).zip(text.lines().map(str::trim));
    let mut lines = lines.filter(|(_, text)| !text.is_empty());

    let (first, header) = lines.next().unwrap_or((1, ""));
    let numbers: Option<Vec<u32>> =
        header.split_whitespace().map(|number| number.parse().ok()).collect();
    let (folds, size) = match numbers.as_deref() {
        Some(&[size]) if size > 0 => (1, size),
        Some(&[folds, size]) if folds > 0 && size > 0 => (folds, size),
        _ => {
            let expected = "expected the number of folds and of pairs of each sort, as in `10 300`";
            return Err(refuse(first, format!("the first line is `{header}`: {expected}")));
        }
    };

    let by_name = by_person(ids);
    let mut pairs = Vec::new();
    for (line, text) in lines {
        let refuse = |reason| refuse(line, reason);
        // A fold consists of N pairs of the same person, then N pairs of different people.
        let place = pairs.len() as u64;
        let (fold, same) =
            (place / (2 * u64::from(size)), (place / u64::from(size)).is_multiple_of(2));
        if fold >= u64::from(folds) {
            return Err(refuse(format!(
                "`{text}` is behind the last pair: the first line tells of {folds} folds of {size} + {size} pairs"
            )));
        }
        // Names in LFW have no white space, but names in other lists may if tabs separate the
        // fields.
        let fields: Vec<&str> = match text.contains('\t') {
            true => text.split('\t').map(str::trim).filter(|field| !field.is_empty()).collect(),
            false => text.split_whitespace().collect(),
        };
        let names = match (fields.as_slice(), same) {
            (&[name, i, j], true) => [(name, i), (name, j)],
            (&[name, i, other, j], false) => [(name, i), (other, j)],
            _ => {
                let expected = if same { "`NAME I J`" } else { "`NAME I OTHER J`" };
                let sort = if same { "the same person" } else { "different people" };
                let pair = pairs.len() as u64 % u64::from(size) + 1;
                return Err(refuse(format!(
                    "`{text}` is not {expected}, expected as pair {pair} of {size} of {sort} in fold {}",
                    fold + 1
                )));
            }
        };
        let item = |(name, number): (&str, &str)| {
            let number: u32 = number
                .parse()
                .map_err(|_| refuse(format!("`{number}` is not the number of an image")))?;
            by_name.get(&(name, number)).copied().ok_or_else(|| {
                refuse(format!("no image `{name}/{name}_{number:04}` is among the items"))
            })
        };
        let (first, second) = (item(names[0])?, item(names[1])?);
        if first == second {
            return Err(refuse(format!("`{text}` pairs an image with itself")));
        }
        pairs.push(ItemPair { first, second, same, fold: fold as u32 });
    }
    let expected = 2 * u64::from(size) * u64::from(folds);
    if pairs.len() as u64 != expected {
        return Err(DataError::Refused {
            path: path.to_owned(),
            reason: format!(
                "{} pairs, expected {expected}: the first line tells of {folds} folds of {size} + {size} pairs",
                pairs.len()
            ),
        });
    }
    Ok((pairs, folds))
}

/// The items by person and number, from ids such as `…/Ann_Lee/Ann_Lee_0012.jpg`.
fn by_person<'a>(ids: &'a [impl AsRef<str>]) -> HashMap<(&'a str, u32), u32> {
    let name = |id: &'a str| {
        let (folders, file) = id.rsplit_once('/')?;
        let person = folders.rsplit('/').next()?;
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        Some((person, stem.strip_prefix(person)?.strip_prefix('_')?.parse().ok()?))
    };
    (0..).zip(ids).filter_map(|(item, id)| Some((name(id.as_ref())?, item))).collect()
}

/// Reads a table of paths.
fn table(path: &Path, ids: &[impl AsRef<str>]) -> Result<(Vec<ItemPair>, u32), DataError> {
    let by_id: HashMap<&str, u32> = ids.iter().map(AsRef::as_ref).zip(0..).collect();
    let mut table = Table::open(path, &["path1", "path2", "same"], &["fold"])?;
    let mut pairs = Vec::new();
    // Folds may have any names; they are numbered in the order in which they occur.
    let mut folds: HashMap<String, u32> = HashMap::new();
    while let Some(row) = table.next_row()? {
        let item = |column| {
            let id = row.required(column)?;
            by_id
                .get(id)
                .copied()
                .ok_or_else(|| row.refuse(column, format!("no item `{id}` is there")))
        };
        let (first, second) = (item("path1")?, item("path2")?);
        if first == second {
            return Err(row.refuse("path2", "it pairs an item with itself".to_owned()));
        }
        let same = row.flag("same")?.ok_or_else(|| row.lacking("same"))?;
        let next = folds.len() as u32;
        let fold = *folds.entry(row.get("fold").unwrap_or_default().to_owned()).or_insert(next);
        pairs.push(ItemPair { first, second, same, fold });
    }
    if pairs.is_empty() {
        let reason = "it holds no pairs below its header".to_owned();
        return Err(DataError::Refused { path: path.to_owned(), reason });
    }
    Ok((pairs, folds.len() as u32))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const IDS: [&str; 5] = [
        "Ann_Lee/Ann_Lee_0001.jpg",
        "Ann_Lee/Ann_Lee_0012.png",
        "Bo/Bo_0001.jpg",
        "Bo/Bo_0002.jpg",
        "Cy/portrait.jpg",
    ];

    fn read(name: &str, text: &str) -> Result<Pairs, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Pairs::load(&path, &IDS).map_err(|error| error.to_string())
    }

    fn pair(first: u32, second: u32, same: bool, fold: u32) -> ItemPair {
        ItemPair { first, second, same, fold }
    }

    #[test]
    fn folds_of_same_and_different_pairs() {
        let text = "2\t1\nAnn_Lee\t1\t12\nAnn_Lee\t1\tBo\t2\nBo\t1\t2\nBo\t1\tAnn_Lee\t12\n";
        let expected =
            [pair(0, 1, true, 0), pair(0, 3, false, 0), pair(2, 3, true, 1), pair(2, 1, false, 1)];
        for text in [
            text.to_owned(),
            text.replace('\t', " ").replace('\n', "\r\n"),
            format!("\u{feff}{text}"),
            format!("\u{feff}\r\n{}", text.replace('\n', "\t\r\n")),
            text.replace('\n', " \n \n").replace('\t', "\t \t"),
        ] {
            let pairs = read("pairs.txt", &text).unwrap();
            assert_eq!((&pairs.pairs[..], pairs.folds), (&expected[..], 2));
        }
        // The development lists have one fold, and no number of folds in the first line.
        let pairs = read("pairsDevTest.txt", "1\nBo 1 2\nBo 1 Ann_Lee 12\n").unwrap();
        assert_eq!(
            (pairs.pairs, pairs.folds),
            (vec![pair(2, 3, true, 0), pair(2, 1, false, 0)], 1)
        );
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, part) in [
            ("", ":1: the first line is ``"),
            ("10 0\n", ":1: the first line is `10 0`"),
            ("ten 300\n", ":1:"),
            ("1 2 3\n", ":1:"),
            ("1 1\nBo 1 2\nBo 1 2\n", ":3: `Bo 1 2` is not `NAME I OTHER J`"),
            ("1 1\nBo 1 Ann_Lee 1\n", ":2: `Bo 1 Ann_Lee 1` is not `NAME I J`"),
            ("1 1\nBo 1 3\n", ":2: no image `Bo/Bo_0003`"),
            ("1 1\nBo 1 x\n", ":2: `x` is not the number"),
            ("1 1\nBo 1 1\n", ":2: `Bo 1 1` pairs an image with itself"),
            ("1 1\nBo 1 2\n\nBo 1 Ann_Lee 1\nBo 1 2\n", ":5: `Bo 1 2` is behind the last pair"),
            ("2 1\nBo 1 2\nBo 1 Ann_Lee 1\n", "2 pairs, expected 4"),
        ] {
            let message = read("pairs.txt", text).unwrap_err();
            assert!(message.contains(part) && message.contains("pairs.txt"), "{part}: {message}");
        }
        let message = Pairs::load(Path::new("no/pairs.txt"), &IDS).unwrap_err().to_string();
        assert!(message.contains("cannot read no/pairs.txt"), "{message}");
    }

    #[test]
    fn a_table_of_paths() {
        let text = "same,path1,path2,fold\n1,Bo/Bo_0001.jpg,Bo/Bo_0002.jpg,b\n\
                    false,Cy/portrait.jpg,Bo/Bo_0002.jpg,a\ntrue,Bo/Bo_0001.jpg,Bo/Bo_0002.jpg,b\n";
        let pairs = read("pairs.csv", text).unwrap();
        let expected = [pair(2, 3, true, 0), pair(4, 3, false, 1), pair(2, 3, true, 0)];
        assert_eq!((&pairs.pairs[..], pairs.folds), (&expected[..], 2));
        let pairs = read("p.csv", "path1,path2,same\nBo/Bo_0001.jpg,Cy/portrait.jpg,0\n").unwrap();
        assert_eq!(pairs.folds, 1);

        let header = "path1,path2,same\n";
        for (row, part) in [
            ("", "no pairs below its header"),
            ("x,Cy/portrait.jpg,0", ":2: column `path1`: no item `x`"),
            ("Bo/Bo_0001.jpg,Cy/portrait.jpg,2", ":2: column `same`: `2` is neither"),
            ("Bo/Bo_0001.jpg,Cy/portrait.jpg,", ":2: column `same`: it is empty"),
            ("Bo/Bo_0001.jpg,Bo/Bo_0001.jpg,1", ":2: column `path2`: it pairs an item with itself"),
            ("Bo/Bo_0001.jpg,Bo/Bo_0001.jpg", ":2: "),
        ] {
            let message = read("pairs.csv", &format!("{header}{row}\n")).unwrap_err();
            assert!(message.contains(part), "{part}: {message}");
        }
        let message = read("pairs.csv", "path1,same\na,1\n").unwrap_err();
        assert!(message.contains("no column `path2`"), "{message}");
    }
}
