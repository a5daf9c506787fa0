//! Embeds items with any network, chunk by chunk.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use tercet::ParameterError;

use super::ModelError;
use crate::data::{DataError, Examples};
use crate::encoder::{Encoder, InputShape};
use crate::views::Views;

/// Number of images that are embedded at once.
pub(super) const CHUNK: usize = 64;

/// Embeds items with an encoder in inference mode; see [`embed_with`].
pub(crate) fn embed(
    encoder: &Encoder,
    shape: InputShape,
    examples: &Examples,
    items: &[u32],
    views: Views,
    device: &Device,
    progress: &dyn Fn(usize) -> ControlFlow<()>,
) -> Result<Array2<f32>, ModelError> {
    let forward = |inputs, count| values(encoder.forward(images(inputs, count, shape, device)));
    embed_with(&forward, shape, examples, items, views, false, progress)
}

/// Embeds items with any network, chunk by chunk. The embedding of an item is the mean over its V
/// views, `e = (1/V) Σ f(view)`. With `normalize` it is the mean of unit vectors, normalised again:
/// `e = m/|m|` with `m = (1/V) Σ f(view)/|f(view)|`, so that a graph that includes the
/// normalisation gives the same.
///
/// # Shapes
/// - `forward` is called with N×C×H×W values of one view (vectors: N×D) and N, and returns N×D'
/// - `shape`: the input of the network; examples may be larger if `views` need that
/// - result: one row for each of `items`
///
/// `progress` is called with the number of items that are done, and can stop the call.
///
/// # Errors
/// The errors of `forward`; an item that can no longer be read; embeddings that are not finite;
/// [`DataError::Interrupted`] if `progress` stopped the call.
///
/// # Panics
/// If the images are smaller than `shape`.
pub fn embed_with(
    forward: &dyn Fn(Vec<f32>, usize) -> Result<Vec<f32>, ModelError>,
    shape: InputShape,
    examples: &Examples,
    items: &[u32],
    views: Views,
    normalize: bool,
    progress: &dyn Fn(usize) -> ControlFlow<()>,
) -> Result<Array2<f32>, ModelError> {
    let windows = views.windows(examples.input().shape(), shape.width, shape.height);
    let share = 1.0 / windows.len() as f32;
    let (mut rows, mut done) = (Vec::new(), 0);
    for chunk in items.chunks(CHUNK) {
        let mut mean: Option<Array2<f32>> = None;
        for &window in &windows {
            let view = forward(examples.window(chunk, window)?, chunk.len())?;
            let mut view = matrix(view, chunk.len())?;
            if normalize {
                normalize_rows(&mut view);
            }
            match &mut mean {
                Some(mean) => mean.scaled_add(share, &view),
                None => mean = Some(view * share),
            }
        }
        if let Some(mut mean) = mean {
            if normalize {
                normalize_rows(&mut mean);
            }
            rows.extend(mean);
        }
        done += chunk.len();
        if progress(done).is_break() {
            return Err(DataError::Interrupted.into());
        }
    }
    matrix(rows, items.len())
}

/// The values of embeddings as a matrix, if all are finite.
pub(super) fn matrix(numbers: Vec<f32>, rows: usize) -> Result<Array2<f32>, ModelError> {
    if numbers.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::Embed("the network gave values that are not finite".to_owned()));
    }
    let dimensions = numbers.len().checked_div(rows).unwrap_or_default();
    Array2::from_shape_vec((rows, dimensions), numbers)
        .map_err(|error| ModelError::Embed(error.to_string()))
}

/// A batch of values as the encoder's input, N×C×H×W.
pub(crate) fn images(
    values: Vec<f32>,
    count: usize,
    shape: InputShape,
    device: &Device,
) -> Tensor<4> {
    let shape = [count, shape.channels, shape.height, shape.width];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The values of a tensor, row by row.
pub(crate) fn values(tensor: Tensor<2>) -> Result<Vec<f32>, ModelError> {
    tensor.try_into_vec_as::<f32>().map_err(|error| ModelError::Embed(format!("{error:?}")))
}

/// The first components of embeddings, normalised by themselves if `normalize` is set. A model whose
/// card lists this number in [`ModelCard::matryoshka`](super::ModelCard::matryoshka) was trained for it.
///
/// # Shapes
/// - embeddings: N×D, result: N×dimensions
///
/// # Errors
/// No dimension, or more than the embeddings have.
pub fn prefix(
    mut embeddings: Array2<f32>,
    dimensions: usize,
    normalize: bool,
) -> Result<Array2<f32>, ParameterError> {
    let all = embeddings.ncols();
    if dimensions == 0 || dimensions > all {
        return Err(ParameterError {
            parameter: "dimensions",
            got: dimensions.to_string(),
            expected: format!("from 1 to {all}, the length of the embeddings"),
        });
    }
    if dimensions < all {
        embeddings = embeddings.slice(ndarray::s![.., ..dimensions]).to_owned();
        if normalize {
            normalize_rows(&mut embeddings);
        }
    }
    Ok(embeddings)
}

/// Scales rows to length 1; rows of length 0 are unchanged.
pub fn normalize_rows(embeddings: &mut Array2<f32>) {
    for mut row in embeddings.outer_iter_mut() {
        let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|x| (f64::from(x) / norm) as f32);
        }
    }
}
