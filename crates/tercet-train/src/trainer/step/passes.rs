//! Forward and backward passes of a batch through a network, at once or in chunks that fit into
//! memory.
//!
//! Gradient caching (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited
//! Setup", RepL4NLP 2021): ∂L/∂θ = Σ over rows of Gᵢ·∂Eᵢ/∂θ with G = ∂L/∂E. A first pass embeds
//! every chunk without a graph; the objective is evaluated on all embeddings E and gives G; a
//! second pass runs the chunks whose rows have a gradient once more, with a graph, and
//! differentiates Σ E·G over each. The sum over the chunks is the gradient of the whole batch.
//!
//! In training mode, batch norm makes an embedding depend on the other rows of the same pass. A
//! chunk is then what a device is in data-parallel training without synchronised statistics: rows
//! stay in the same chunk in both passes, each chunk is normalised by its own mean and variance,
//! and the gradient is exactly that of this network. Running statistics are updated once for each
//! chunk, in the first pass.

use burn::module::{Flag, Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2, Axis};
use tercet::Outcome;

use crate::encoder::{Encoder, InputShape};
use crate::model::{ModelError, images, values};
use crate::trainer::TrainError;

/// Rows of input, as they enter a network.
#[derive(Clone, Copy)]
pub(in crate::trainer) struct Rows<'a> {
    /// N×C×H×W.
    pub(in crate::trainer) values: &'a [f32],
    pub(in crate::trainer) shape: InputShape,
    /// The device of networks that are trained.
    pub(in crate::trainer) device: &'a Device,
    /// The seed of layers that draw random numbers, so that both passes draw the same ones.
    pub(in crate::trainer) seed: u64,
}

/// The results of a forward and backward pass.
pub(in crate::trainer) struct Passed {
    pub(in crate::trainer) embeddings: Array2<f32>,
    pub(in crate::trainer) outcome: Outcome,
    pub(in crate::trainer) gradients: GradientsParams,
    /// Number of rows in the backward pass.
    pub(in crate::trainer) backward: usize,
}

/// Evaluates the objective on embeddings.
pub(in crate::trainer) type Evaluate<'a> =
    &'a dyn Fn(ArrayView2<f32>) -> Result<Outcome, TrainError>;

impl Rows<'_> {
    pub(in crate::trainer) fn len(&self) -> usize {
        self.values.len() / self.row_len()
    }

    fn row_len(&self) -> usize {
        self.shape.channels * self.shape.height * self.shape.width
    }

    /// The values of the given rows, one after the other.
    pub(in crate::trainer) fn of(&self, rows: &[usize]) -> Vec<f32> {
        let row_len = self.row_len();
        rows.iter().flat_map(|row| &self.values[row * row_len..][..row_len]).copied().collect()
    }

    fn forward(&self, network: &Encoder, rows: &[usize]) -> Tensor<2> {
        self.device.seed(self.seed.wrapping_add(rows.first().map_or(0, |&row| row as u64)));
        network.forward(images(self.of(rows), rows.len(), self.shape, self.device))
    }

    /// Embeds all rows without a graph, in training mode. The running statistics of `network` are
    /// updated once for each chunk.
    pub(in crate::trainer) fn embed(
        &self,
        network: &Encoder,
        chunks: &[Vec<usize>],
    ) -> Result<Array2<f32>, TrainError> {
        let network = network.clone().no_grad(); // nothing is tracked; statistics are shared
        let mut embeddings = Array2::zeros((0, 0));
        for chunk in chunks {
            let embedded = matrix(self.forward(&network, chunk))?;
            if embeddings.is_empty() {
                embeddings = Array2::zeros((self.len(), embedded.ncols()));
            }
            for (&row, vector) in chunk.iter().zip(embedded.outer_iter()) {
                embeddings.row_mut(row).assign(&vector);
            }
        }
        Ok(embeddings)
    }

    /// ∂(Σ E·G)/∂θ, summed over the chunks. The running statistics of `network` are updated.
    fn back(
        &self,
        network: &Encoder,
        chunks: &[Vec<usize>],
        gradient: ArrayView2<f32>,
    ) -> GradientsParams {
        let mut sum = GradientsAccumulator::new();
        for chunk in chunks {
            let embedded = self.forward(network, chunk);
            let gradient = gradient.select(Axis(0), chunk);
            sum.accumulate(network, surrogate(embedded, gradient, network));
        }
        sum.grads()
    }

    /// Passes all rows at once.
    pub(in crate::trainer) fn direct(
        &self,
        network: &Encoder,
        evaluate: Evaluate,
    ) -> Result<Passed, TrainError> {
        let all: Vec<usize> = (0..self.len()).collect();
        let embedded = self.forward(network, &all);
        let embeddings = matrix(embedded.clone())?;
        let outcome = evaluate(embeddings.view())?;
        let gradients = surrogate(embedded, outcome.gradient.clone(), network);
        Ok(Passed { embeddings, outcome, gradients, backward: all.len() })
    }

    /// Gradient caching with `chunk` rows at a time. Rows without a gradient are left out of the
    /// backward pass: if rows are independent, those with a gradient form new chunks, otherwise
    /// only whole chunks are left out.
    pub(in crate::trainer) fn cached(
        &self,
        network: &Encoder,
        chunk: usize,
        evaluate: Evaluate,
    ) -> Result<Passed, TrainError> {
        let all: Vec<usize> = (0..self.len()).collect();
        let mut parts = chunks(&all, chunk);
        let embeddings = self.embed(network, &parts)?;
        let outcome = evaluate(embeddings.view())?;
        let teaches = |row: usize| outcome.gradient.row(row).iter().any(|&value| value != 0.0);
        if rows_depend_on_their_chunk(network) {
            parts.retain(|rows| rows.iter().any(|&row| teaches(row)));
        } else {
            let teaching: Vec<usize> = all.into_iter().filter(|&row| teaches(row)).collect();
            parts = chunks(&teaching, chunk);
        }
        let gradients = self.back(&apart(network), &parts, outcome.gradient.view());
        let backward = parts.iter().map(Vec::len).sum();
        Ok(Passed { embeddings, outcome, gradients, backward })
    }
}

/// Divides rows into as few chunks of at most `most` rows as possible, all of nearly the same size.
///
/// Neighbouring rows go to different chunks, so that each chunk is a sample of the whole batch: a
/// batch is sorted by class, and a chunk of few classes would give batch norm the statistics of
/// these classes instead of those of the data.
pub(in crate::trainer) fn chunks(rows: &[usize], most: usize) -> Vec<Vec<usize>> {
    let count = rows.len().div_ceil(most);
    (0..count).map(|chunk| rows.iter().copied().skip(chunk).step_by(count).collect()).collect()
}

/// The same weights with separate running statistics. Gradients of the copy are gradients of
/// `network`.
pub(in crate::trainer) fn apart(network: &Encoder) -> Encoder {
    network.valid().train()
}

/// Whether the embedding of a row depends on the other rows of the same pass, or on random numbers
/// drawn for them: whether the network contains a layer in training mode, such as batch norm or
/// dropout.
fn rows_depend_on_their_chunk(network: &Encoder) -> bool {
    struct InTraining(bool);
    impl ModuleVisitor for InTraining {
        fn visit_flag(&mut self, flag: &Param<Flag>) {
            self.0 |= flag.val().is_enabled();
        }
    }
    let mut layers = InTraining(false);
    network.visit(&mut layers);
    layers.0
}

/// ∂(Σ E·G)/∂θ with G held constant. This is the gradient of the objective, on every backend and
/// without a custom operation.
fn surrogate(embedded: Tensor<2>, gradient: Array2<f32>, network: &Encoder) -> GradientsParams {
    let gradient = TensorData::new(gradient.iter().copied().collect(), embedded.dims());
    let gradient = Tensor::<2>::from_data(gradient, &embedded.device());
    GradientsParams::from_grads((embedded * gradient).sum().backward(), network)
}

fn matrix(embedded: Tensor<2>) -> Result<Array2<f32>, TrainError> {
    let [rows, dimensions] = embedded.dims();
    Array2::from_shape_vec((rows, dimensions), values(embedded.inner())?)
        .map_err(|error| ModelError::Embed(error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use burn::module::ModuleMapper;
    use tercet::{Labels, TripletLoss};

    use super::*;
    use crate::encoder::{EncoderConfig, MlpHeadConfig, SmallCnnConfig};

    const SHAPE: InputShape = InputShape { channels: 1, height: 8, width: 8 };
    const BATCH: usize = 24;

    fn network(device: &Device) -> Encoder {
        device.seed(5);
        let config = SmallCnnConfig { width: 3, depth: 2, embedding_dim: 5, ..Default::default() };
        EncoderConfig::SmallCnn(config).init(SHAPE, device).unwrap()
    }

    /// The same network with batch norm frozen, so that rows are independent.
    fn frozen(network: Encoder) -> Encoder {
        struct Off;
        impl ModuleMapper for Off {
            fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
                flag.with_value(false)
            }
        }
        network.map(&mut Off)
    }

    fn pixels() -> Vec<f32> {
        (0..BATCH * 64).map(|at| (at as f32 * 0.37).sin() + (at / 256) as f32 * 0.2).collect()
    }

    /// Every fifth row has no gradient.
    fn evaluate(embeddings: ArrayView2<f32>) -> Result<Outcome, TrainError> {
        let labels = Labels::from_iter((0..BATCH).map(|row| row / 4));
        let mut outcome = TripletLoss::batch_all_nonzero().evaluate(embeddings, &labels)?;
        for row in (0..BATCH).step_by(5) {
            outcome.gradient.row_mut(row).fill(0.0);
        }
        Ok(outcome)
    }

    /// The gradients of all weights, one after the other.
    fn flat(network: &Encoder, gradients: &GradientsParams) -> Vec<f32> {
        struct Collect<'a>(&'a GradientsParams, Vec<f32>);
        impl ModuleVisitor for Collect<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.0.get::<D>(param.id) {
                    self.1.extend(gradient.try_into_vec_as::<f32>().unwrap());
                }
            }
        }
        let mut collect = Collect(gradients, Vec::new());
        network.visit(&mut collect);
        collect.1
    }

    /// All values of the network: weights and running statistics.
    fn state(network: &Encoder) -> Vec<f32> {
        struct Collect(Vec<f32>);
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.extend(param.val().try_into_vec_as::<f32>().unwrap());
            }
        }
        let mut collect = Collect(Vec::new());
        network.valid().visit(&mut collect);
        collect.0
    }

    /// ‖x − y‖ / ‖y‖.
    fn distance(x: &[f32], y: &[f32]) -> f64 {
        assert!(x.len() == y.len() && !x.is_empty());
        let norm = |values: &mut dyn Iterator<Item = f32>| {
            values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
        };
        norm(&mut x.iter().zip(y).map(|(x, y)| x - y)) / norm(&mut y.iter().copied())
    }

    #[test]
    fn chunks_are_even_samples_of_the_batch() {
        let rows: Vec<usize> = (0..10).collect();
        assert_eq!(chunks(&rows, 4), [vec![0, 3, 6, 9], vec![1, 4, 7], vec![2, 5, 8]]);
        assert_eq!(chunks(&rows, 10), std::slice::from_ref(&rows));
        assert!(chunks(&[], 4).is_empty());
    }

    #[test]
    fn the_gradient_of_independent_rows_does_not_depend_on_chunks() {
        let device = Device::flex().autodiff();
        independent(&frozen(network(&device)), SHAPE, &device);
        let vectors = InputShape::vectors(64);
        let head = EncoderConfig::MlpHead(MlpHeadConfig { hidden: 16, embedding_dim: 8 });
        independent(&head.init(vectors, &device).unwrap(), vectors, &device);
    }

    fn independent(network: &Encoder, shape: InputShape, device: &Device) {
        let values = pixels();
        let rows = Rows { values: &values, shape, device, seed: 1 };
        let direct = rows.direct(network, &evaluate).unwrap();
        let gradient = flat(network, &direct.gradients);
        let teaching =
            direct.outcome.gradient.outer_iter().filter(|row| row.iter().any(|&g| g != 0.0));
        let teaching = teaching.count();
        assert!((2..BATCH).contains(&teaching), "{teaching}");
        let before = state(network);
        for chunk in [1, 5, 7, 23, BATCH] {
            let cached = rows.cached(network, chunk, &evaluate).unwrap();
            let off = distance(&flat(network, &cached.gradients), &gradient);
            assert!(off < 1e-5, "chunks of {chunk}: {off}");
            assert!((cached.outcome.value / direct.outcome.value - 1.0).abs() < 1e-6);
            assert_eq!(cached.backward, teaching); // others have no backward pass
        }
        assert_eq!(state(network), before);
    }

    /// Computes each chunk with a graph and its own batch norm, and differentiates all of them
    /// together.
    fn reference(rows: Rows, network: &Encoder, chunk: usize, evaluate: Evaluate) -> Vec<f32> {
        let order: Vec<usize> = (0..rows.len()).collect();
        let parts = chunks(&order, chunk);
        let embedded = parts.iter().map(|part| rows.forward(network, part)).collect();
        let embedded = Tensor::cat(embedded, 0);
        let order = parts.concat();
        let values = matrix(embedded.clone()).unwrap();
        let mut embeddings = values.clone();
        for (&row, vector) in order.iter().zip(values.outer_iter()) {
            embeddings.row_mut(row).assign(&vector);
        }
        let outcome = evaluate(embeddings.view()).unwrap();
        let gradients = surrogate(embedded, outcome.gradient.select(Axis(0), &order), network);
        flat(network, &gradients)
    }

    #[test]
    fn with_batch_norm_a_chunk_is_what_a_device_is_in_data_parallel_training() {
        let device = Device::flex().autodiff();
        let start = network(&device);
        let values = pixels();
        let rows = Rows { values: &values, shape: SHAPE, device: &device, seed: 1 };
        for chunk in [6, 9, BATCH] {
            let all: Vec<usize> = (0..BATCH).collect();
            let parts = chunks(&all, chunk);
            // The second chunk has no gradient.
            let idle = parts.get(1).cloned().unwrap_or_default();
            let evaluate = |embeddings: ArrayView2<f32>| {
                let mut outcome = evaluate(embeddings)?;
                idle.iter().for_each(|&row| outcome.gradient.row_mut(row).fill(0.0));
                Ok(outcome)
            };
            let expected = apart(&start);
            let gradient = reference(rows, &expected, chunk, &evaluate);
            let network = apart(&start);
            let cached = rows.cached(&network, chunk, &evaluate).unwrap();
            let off = distance(&flat(&network, &cached.gradients), &gradient);
            assert!(off < 1e-5, "chunks of {chunk}: {off}");
            assert_eq!(cached.backward, BATCH - idle.len());
            // Each row updated the running statistics once, whether it had a gradient or not.
            assert_eq!(state(&network), state(&expected));
            if chunk == BATCH {
                let direct = rows.direct(&network, &evaluate).unwrap();
                assert!(distance(&flat(&network, &direct.gradients), &gradient) < 1e-5);
            }
        }
    }
}
