//! The gradient of one step, of a batch or of the candidates with the largest gradient; and the
//! logged quantities of the step.

pub(super) mod average;
pub(super) mod embedding_memory;
pub(super) mod loader;
pub(super) mod memory_estimate;
pub(super) mod optimizer;
pub(super) mod passes;

use std::cell::Cell;
use std::collections::BTreeSet;

use burn::optim::GradientsParams;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use tercet::{FalseNegatives, Labels, Outcome, Percentiles};

use super::counts::Work;
use super::{StepLine, TrainError, Trainer};
use crate::encoder::Encoder;
use loader::Batch;
use passes::{Evaluate, Passed, Rows, apart, chunks};

/// The results of a step besides the gradient.
pub(super) struct Seen {
    /// The outcome of the objective on all candidates.
    pub(super) outcome: Outcome,
    /// The embeddings of all candidates, one row per item.
    pub(super) embeddings: Array2<f32>,
    /// The items of these rows.
    pub(super) items: Vec<u32>,
    pub(super) work: Work,
    /// The value of the objective on the candidates and the older model's vectors of them, if the run
    /// stays compatible with a model.
    pub(super) compatible_loss: Option<f64>,
}

/// Embeddings that serve as positives and negatives but receive no gradient.
pub(super) struct Frozen {
    pub(super) vectors: Array2<f32>,
    pub(super) labels: Labels,
}

impl Trainer<'_> {
    /// The gradient of a batch with respect to the weights, computed at once or in chunks; empty if
    /// no row has a gradient.
    ///
    /// With a pool, the items of the loader are candidates: all are embedded without a graph, and
    /// at most P·K of them, those with the longest gradient, become the batch. The other candidates
    /// are then frozen vectors.
    pub(super) fn gradients(
        &self,
        Batch { items, values }: Batch,
        learning_rate: f64,
    ) -> Result<(GradientsParams, Seen), TrainError> {
        let shape = self.setup.prepared.examples.input().shape();
        let seed = self.setup.config.seed ^ self.state.step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let rows = Rows { values: &values, shape, device: &self.setup.learning_device, seed };
        // Selections that draw at random get another seed in each step.
        let objective = self.phase.objective.with_seed(seed);
        let share = self.setup.config.false_negatives;
        let false_negatives = share.map(|share| FalseNegatives { share });
        let compatible_loss = Cell::new(None);
        let evaluate = |embeddings: ArrayView2<f32>, items: &[u32], frozen: Option<&Frozen>| {
            if has_diverged(embeddings) {
                return Err(TrainError::Diverged { step: self.state.step + 1, learning_rate });
            }
            let labels = self.setup.prepared.labels(items);
            let mut evaluation =
                objective.evaluation(embeddings, &labels).prefixes(&self.setup.prefixes);
            if let Some(rule) = false_negatives {
                evaluation = evaluation.without_false_negatives(rule);
            }
            if let Some(Frozen { vectors, labels: frozen }) = frozen {
                evaluation = evaluation.frozen(vectors.view(), frozen);
            }
            let mut outcome = evaluation.run()?;
            if let Some(old) = &self.setup.prepared.compatible {
                let mixed = old.add_to(
                    &mut outcome,
                    &objective,
                    false_negatives,
                    embeddings,
                    items,
                    &labels,
                )?;
                // With a pool, the first evaluation is that of all candidates.
                compatible_loss.set(compatible_loss.get().or(mixed));
            }
            Ok(outcome)
        };

        let frozen = self.remembered(&items);
        let Some(most) = self.setup.config.pool.map(|_| self.phase.batch) else {
            let passed = self.there_and_back(rows, &self.learned.encoder, &|embeddings| {
                evaluate(embeddings, &items, frozen.as_ref())
            })?;
            let work = Work::new(items.len(), passed.backward);
            let Passed { embeddings, outcome, gradients, .. } = passed;
            return Ok((
                gradients,
                Seen { outcome, embeddings, items, work, compatible_loss: compatible_loss.get() },
            ));
        };

        let all: Vec<usize> = (0..items.len()).collect();
        let chunks = chunks(&all, self.state.chunk.unwrap_or(most));
        let embeddings = rows.embed(&self.learned.encoder, &chunks)?;
        let outcome = evaluate(embeddings.view(), &items, frozen.as_ref())?;
        let hardest = hardest(outcome.gradient.view(), most);
        if hardest.is_empty() {
            let (gradients, work) = (GradientsParams::new(), Work::new(items.len(), 0));
            return Ok((
                gradients,
                Seen { outcome, embeddings, items, work, compatible_loss: compatible_loss.get() },
            ));
        }
        let chosen: Vec<u32> = hardest.iter().map(|&row| items[row]).collect();
        let others = self.others(embeddings.view(), &items, &chosen, frozen);
        let values = rows.of(&hardest);
        // The running statistics of batch norm include these rows already, so the pass uses a copy.
        let passed = self.there_and_back(
            Rows { values: &values, ..rows },
            &apart(&self.learned.encoder),
            &|embeddings| evaluate(embeddings, &chosen, Some(&others)),
        )?;
        let work = Work::new(items.len(), passed.backward);
        Ok((
            passed.gradients,
            Seen { outcome, embeddings, items, work, compatible_loss: compatible_loss.get() },
        ))
    }

    /// Forward and backward pass: at once if that fits into memory, otherwise by gradient caching.
    fn there_and_back(
        &self,
        rows: Rows,
        network: &Encoder,
        evaluate: Evaluate,
    ) -> Result<Passed, TrainError> {
        match self.state.chunk {
            Some(chunk) if chunk < rows.len() => rows.cached(network, chunk, evaluate),
            _ => rows.direct(network, evaluate),
        }
    }

    /// The frozen vectors of a batch that was chosen from candidates: the other candidates, without
    /// repetitions of chosen items, and what was frozen already.
    fn others(
        &self,
        embeddings: ArrayView2<f32>,
        items: &[u32],
        chosen: &[u32],
        frozen: Option<Frozen>,
    ) -> Frozen {
        let chosen: BTreeSet<u32> = chosen.iter().copied().collect();
        let rows: Vec<usize> =
            (0..items.len()).filter(|&row| !chosen.contains(&items[row])).collect();
        let others: Vec<u32> = rows.iter().map(|&row| items[row]).collect();
        let vectors = embeddings.select(Axis(0), &rows);
        let labels = self.setup.prepared.labels(&others);
        match frozen {
            None => Frozen { vectors, labels },
            Some(frozen) => Frozen {
                vectors: concatenate![Axis(0), vectors, frozen.vectors],
                labels: labels.chain(&frozen.labels),
            },
        }
    }

    pub(super) fn line(&self, seen: &Seen, learning_rate: f64) -> Result<StepLine, TrainError> {
        let Seen { outcome, embeddings, work, .. } = seen;
        let census = &outcome.census;
        Ok(StepLine {
            step: self.state.step,
            loss: outcome.value,
            compatible_loss: seen.compatible_loss,
            active: census.active_share(),
            selected: census.selected,
            violated: census.violated as f64 / census.selected.max(1) as f64,
            learning_rate,
            norm: Percentiles::norms(embeddings.view()),
            distance: Percentiles::pairwise_distances(embeddings.view(), self.setup.metric)?,
            gradient_norm: None,
            collapse: Some(self.state.watch.condition()),
            spread: Some(self.state.watch.spread()),
            separation: Some(self.state.watch.separation()),
            items_per_second: 0.0,
            backward: Some(work.share()),
        })
    }
}

/// A component larger than this comes from weights that grow without bound; squares of such values
/// would soon exceed the range of f32.
const LARGEST: f32 = 1e15;

/// Whether embeddings are infinite, NaN or larger than [`LARGEST`].
pub(super) fn has_diverged(embeddings: ArrayView2<f32>) -> bool {
    embeddings.iter().any(|value| value.is_nan() || value.abs() > LARGEST)
}

/// The rows with the longest gradients, at most `most` of those that are not 0; in increasing
/// order.
fn hardest(gradient: ArrayView2<f32>, most: usize) -> Vec<usize> {
    let length = |row: ArrayView1<f32>| row.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
    let mut rows: Vec<(f64, usize)> =
        gradient.outer_iter().map(length).zip(0..).filter(|&(length, _)| length > 0.0).collect();
    rows.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
    rows.truncate(most);
    let mut rows: Vec<usize> = rows.into_iter().map(|(_, row)| row).collect();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_hardest_rows_have_the_longest_gradients() {
        let gradient = array![[0.0_f32, 3.0], [0.0, 0.0], [-4.0, 0.0], [2.0, 2.0], [0.0, -3.0]];
        assert_eq!(hardest(gradient.view(), 9), [0, 2, 3, 4]);
        assert_eq!(hardest(gradient.view(), 2), [0, 2]); // of equal lengths the first
        assert!(hardest(Array2::zeros((3, 2)).view(), 2).is_empty());
    }
}
