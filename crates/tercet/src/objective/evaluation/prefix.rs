//! An objective over several prefixes of the embeddings.

use ndarray::{Array2, s};

use super::{Evaluation, Others};
use crate::Error;
use crate::objective::rule::Census;

/// Adds the values and gradients of all prefixes; the census is that of the last one.
pub(super) fn compute(
    evaluation: Evaluation,
    prefixes: &[usize],
    gradient: &mut [f32],
) -> Result<(f64, Option<Array2<f32>>, Census), Error> {
    let (rows, components) = evaluation.embeddings.dim();
    if let Some(wrong) = prefixes.iter().find(|&&prefix| prefix == 0 || prefix > components) {
        return Err(Error::parameter(
            "prefixes",
            wrong.to_string(),
            format!("from 1 to {components}, the number of components"),
        ));
    }
    if let Some(others) = evaluation.others.columns()
        && others != components
    {
        return Err(Error::DimensionMismatch { queries: components, gallery: others });
    }
    gradient.fill(0.0);
    let (mut value, mut reference_gradient, mut census) = (0.0, None, Census::default());
    let mut part = Vec::new();
    for &prefix in prefixes {
        let cut = |others| match others {
            Others::None => Others::None,
            Others::Frozen(vectors, labels) => {
                Others::Frozen(vectors.slice_move(s![.., ..prefix]), labels)
            }
            Others::Reference(vectors, labels) => {
                Others::Reference(vectors.slice_move(s![.., ..prefix]), labels)
            }
        };
        let embeddings = evaluation.embeddings.slice_move(s![.., ..prefix]);
        let others = cut(evaluation.others);
        part.clear();
        part.resize(rows * prefix, 0.0);
        let (own, reference, counted) =
            Evaluation { embeddings, others, prefixes: &[], ..evaluation }
                .compute_whole(&mut part)?;
        value += own;
        census = counted;
        let targets = gradient.chunks_exact_mut(components);
        for (target, row) in targets.zip(part.chunks_exact(prefix)) {
            target.iter_mut().zip(row).for_each(|(target, value)| *target += value);
        }
        if let Some(reference) = reference {
            let total = reference_gradient
                .get_or_insert_with(|| Array2::zeros((reference.nrows(), components)));
            let mut total = total.slice_mut(s![.., ..prefix]);
            total += &reference;
        }
    }
    Ok((value, reference_gradient, census))
}

impl Others<'_> {
    /// The number of components, if there are other vectors.
    fn columns(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Frozen(vectors, _) | Self::Reference(vectors, _) => Some(vectors.ncols()),
        }
    }
}
