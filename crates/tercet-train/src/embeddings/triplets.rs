//! Files of triplets of rows of embeddings: `.npy` of M×3 integers, or text with anchor, positive
//! and negative on each line.

use std::path::Path;

use tercet::Triplet;

use super::npy::Npy;
use super::{Embeddings, EmbeddingsError, unreadable};
use crate::files::At;
use crate::reading;

/// The separators of the three rows of a line.
const BETWEEN: [char; 4] = [',', ';', '\t', ' '];

/// The possible first lines with the names of the columns.
const HEADS: [[&str; 3]; 2] = [["anchor", "positive", "negative"], ["a", "p", "n"]];

impl Embeddings {
    /// Reads triplets of these embeddings from a file: `.npy` of M×3 integers, or text with three
    /// row indices per line, separated by comma, semicolon, tab or blanks. A first line may contain
    /// the names of the columns, `anchor,positive,negative` or `a,p,n`. Rows are counted from 0.
    ///
    /// # Errors
    /// A file that cannot be read; the first invalid triplet: one that does not consist of three
    /// different rows of these embeddings, or, if they have labels, whose positive does not have
    /// the anchor's label or whose negative has it.
    pub fn triplets_from(&self, path: &Path) -> Result<Vec<Triplet>, EmbeddingsError> {
        let bytes = reading::read(path).at("read the triplets", path)?;
        let is_npy = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
        let triplets = if is_npy { self.of_npy(&bytes) } else { self.of_text(&bytes) };
        triplets.map_err(|reason| unreadable(path, reason))
    }

    fn of_npy(&self, bytes: &[u8]) -> Result<Vec<Triplet>, String> {
        let npy = Npy::parse(bytes)?;
        if npy.shape.len() != 2 || npy.shape[1] != 3 {
            return Err(format!("its shape is {:?}, expected triplets × 3", npy.shape));
        }
        let rows = npy.integers()?;
        let (triplets, _) = rows.as_chunks::<3>();
        let checked = triplets.iter().enumerate();
        checked
            .map(|(row, &triplet)| {
                self.check(triplet).map_err(|error| format!("row {row}: {error}"))
            })
            .collect()
    }

    fn of_text(&self, bytes: &[u8]) -> Result<Vec<Triplet>, String> {
        let text = reading::text(bytes)?;
        let mut triplets = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fields: Vec<&str> =
                line.split(BETWEEN).map(str::trim).filter(|field| !field.is_empty()).collect();
            let named = |head: &[&str; 3]| {
                fields.len() == 3
                    && head.iter().zip(&fields).all(|(x, y)| x.eq_ignore_ascii_case(y))
            };
            if index == 0 && HEADS.iter().any(named) {
                continue;
            }
            let triplet = read(&fields).and_then(|triplet| self.check(triplet));
            triplets.push(triplet.map_err(|error| format!("line {}: {error}", index + 1))?);
        }
        Ok(triplets)
    }

    fn check(&self, triplet: [i128; 3]) -> Result<Triplet, String> {
        let [anchor, positive, negative] = triplet;
        let rows = self.vectors.nrows();
        let inside = |&row: &i128| usize::try_from(row).is_ok_and(|row| row < rows);
        if let Some(row) = triplet.iter().find(|row| !inside(row)) {
            return Err(format!("{row} is no row of the {rows}, counted from 0"));
        }
        if anchor == positive || anchor == negative || positive == negative {
            return Err(format!("{triplet:?} names one row twice, expected three different ones"));
        }
        if let Some(labels) = &self.labels {
            let [a, p, n] = triplet.map(|row| &labels[row as usize]);
            if a != p || a == n {
                return Err(format!(
                    "{triplet:?} has the labels `{a}`, `{p}`, `{n}`: expected the anchor's at the positive and another at the negative"
                ));
            }
        }
        Ok(triplet.map(|row| row as u32).into())
    }
}

fn read(fields: &[&str]) -> Result<[i128; 3], String> {
    let &[anchor, positive, negative] = fields else {
        return Err(format!(
            "expected three rows (anchor,positive,negative), got {}",
            fields.len()
        ));
    };
    let number = |field: &str| {
        field.parse::<i128>().map_err(|_| format!("`{field}` is no row, expected a whole number"))
    };
    Ok([number(anchor)?, number(positive)?, number(negative)?])
}
