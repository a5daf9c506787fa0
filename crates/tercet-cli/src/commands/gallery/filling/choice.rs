//! Chooses the items of a source to add, before anything is written.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use ndarray::{ArrayView1, Axis};
use tercet::Metric;
use tercet_gallery::ReadGallery;
use tercet_train::data::{BadItem, Catalogue, DataError};
use tercet_train::embeddings::Embeddings;

use super::{Contents, Filled, Filling};

/// The name of the attribute that contains a text.
pub(in crate::commands::gallery) const TEXT: &str = "text";

/// The items that are added, and counts of the others.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Indices of the items in the source.
    pub(super) items: Vec<usize>,
    /// Number of items that the gallery already contains.
    kept: usize,
    /// Items that cannot be used.
    skipped: Vec<BadItem>,
}

impl From<&Choice> for Filled {
    fn from(choice: &Choice) -> Self {
        Self { kept: choice.kept, skipped: choice.skipped.clone(), ..Self::default() }
    }
}

/// Two items have the same id, or an id is invalid. Nothing was added.
#[derive(Debug)]
pub(crate) struct Conflict(String);

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Conflict {}

impl Filling {
    /// Chooses the items of a source that are valid and that the gallery, in its state `before`,
    /// does not contain.
    pub(crate) fn choose(
        &self,
        contents: &Contents,
        metric: Metric,
        before: Option<&dyn ReadGallery>,
    ) -> anyhow::Result<Choice> {
        let mut choice = Choice::default();
        let mut seen = HashSet::new();
        let mut choose = |of: usize, id: String, label: Option<String>, content| {
            if id.is_empty()
                || id.contains('\0')
                || label.as_ref().is_some_and(|of| of.contains('\0'))
            {
                return Err(anyhow::Error::new(Conflict(format!(
                    "item {of} of {} has the id {id:?} and the label {label:?}: expected text \
                     without the character NUL, and an id that is not empty; nothing was added",
                    contents.name()
                ))));
            }
            if let Some(before) = before
                && is_held(before, &id, label.as_deref(), content)?
            {
                choice.kept += 1;
                return Ok(());
            }
            if seen.contains(&id) {
                return Err(anyhow::Error::new(Conflict(format!(
                    "{} has two items with the id `{id}`, of which a gallery can hold one: give them \
                     different ids; nothing was added",
                    contents.name()
                ))));
            }
            seen.insert(id);
            choice.items.push(of);
            Ok(())
        };
        match contents {
            Contents::Pictures { catalogue, .. } => {
                for (of, item) in catalogue.items.iter().enumerate() {
                    let content = item.content.text().map_or(Known::Nothing, Known::Text);
                    choose(of, self.id(&item.id), catalogue_label(catalogue, of), content)?;
                }
                choice.skipped = catalogue.bad.clone();
            }
            Contents::Vectors { path, embeddings } => {
                let bad = unusable(path, embeddings, metric);
                if let (Some((_, first)), false) = (bad.first(), self.skip_bad) {
                    let (first, more) = (first.clone(), bad.len() - 1);
                    return Err(DataError::BadItems { first, more }.into());
                }
                let left_out: HashSet<usize> = bad.iter().map(|&(row, _)| row).collect();
                for row in (0..embeddings.vectors.nrows()).filter(|row| !left_out.contains(row)) {
                    let label = embeddings.labels.as_ref().map(|labels| labels[row].clone());
                    let vector = Known::Vector(embeddings.vectors.row(row), metric);
                    choose(row, self.id(&row_id(embeddings, row)), label, vector)?;
                }
                choice.skipped = bad.into_iter().map(|(_, bad)| bad).collect();
            }
        }
        Ok(choice)
    }
}

/// The class of an item of a catalogue, if it has one.
pub(super) fn catalogue_label(catalogue: &Catalogue, item: usize) -> Option<String> {
    let class = catalogue.labels.classes()[item];
    catalogue.labelled.then(|| catalogue.labels.name(class).to_owned())
}

/// The id of a row, or else its number in the file.
pub(super) fn row_id(embeddings: &Embeddings, row: usize) -> String {
    embeddings.ids.as_ref().map_or_else(|| row.to_string(), |ids| ids[row].clone())
}

/// Rows for which no distance can be computed, with their numbers in the whole file, counted from
/// 0.
fn unusable(path: &Path, embeddings: &Embeddings, metric: Metric) -> Vec<(usize, BadItem)> {
    let rows = embeddings.vectors.outer_iter().enumerate();
    let bad = rows.filter_map(|(row, vector)| {
        let reason = why_unusable(vector, metric)?;
        let path = format!("{}, row {row}", path.display());
        Some((row, BadItem { id: row_id(embeddings, row), path, reason }))
    });
    bad.collect()
}

fn why_unusable(vector: ArrayView1<f32>, metric: Metric) -> Option<String> {
    if let Some(column) = vector.iter().position(|x| !x.is_finite()) {
        let value = vector[column];
        return Some(format!("column {column} holds {value}: expected finite numbers"));
    }
    match metric.rows(vector.insert_axis(Axis(0))) {
        Err(error) => Some(error.to_string()),
        Ok(row) if metric.on_sphere() && row.iter().all(|&x| x == 0.0) => {
            Some(format!("its length is 0: {metric} distances need a direction"))
        }
        Ok(_) => None,
    }
}

/// What is known about the content of an item before it is embedded.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// Nothing: it is a picture.
    Nothing,
    /// Its vector, and how vectors are compared.
    Vector(ArrayView1<'a, f32>, Metric),
    /// Its text.
    Text(&'a str),
}

/// Whether the gallery already contains the item. An item of the same id with another label, text or
/// vector is a conflict: the gallery cannot contain both.
fn is_held(
    before: &dyn ReadGallery,
    id: &str,
    label: Option<&str>,
    content: Known<'_>,
) -> anyhow::Result<bool> {
    let Some(held) = before.item(id)? else { return Ok(false) };
    let difference = if held.label.as_deref() != label {
        let name = |label: Option<&str>| match label {
            Some(label) => format!("of class `{label}`"),
            None => "without a class".to_owned(),
        };
        format!("{}, the source has it {}", name(held.label.as_deref()), name(label))
    } else if let Known::Text(text) = content
        && held.attributes.get(TEXT).is_none_or(|held| held != text)
    {
        "with another text than the source".to_owned()
    } else if let Known::Vector(vector, metric) = content
        && !is_same(before, id, vector, metric)?
    {
        "with another vector than the source".to_owned()
    } else {
        return Ok(true);
    };
    let advice = "--replace takes the source's, --prefix TEXT keeps both; nothing was added";
    Err(Conflict(format!("the gallery holds `{id}` {difference}: {advice}")).into())
}

/// Whether the gallery's vector of this id equals this one, up to rounding.
fn is_same(
    before: &dyn ReadGallery,
    id: &str,
    vector: ArrayView1<f32>,
    metric: Metric,
) -> anyhow::Result<bool> {
    let held = before.vectors(&[id])?;
    if held.ncols() != vector.len() {
        return Ok(true); // a wrong length is refused when the vectors are added
    }
    let own = metric.rows(vector.insert_axis(Axis(0)))?;
    let largest = own.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    Ok(own.iter().zip(&held).all(|(own, held)| (own - held).abs() <= 1e-5 * largest))
}
