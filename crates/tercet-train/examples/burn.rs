//! Trains a network of your own in Burn with an objective of Tercet:
//! `cargo run --release -p tercet-train --example burn`.
//!
//! The objective returns a value and its gradient G with respect to the embeddings E. Burn passes G
//! back through the network as the gradient of the scalar Σ E·G with G held constant. The data are
//! the embedded glyphs, as vectors of their 28×28 pixels.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, Axis};
use tercet::{Labels, Metric, PkSampler, Retrieval, TripletLoss};
use tercet_train::data::{Examples, Input, PrepareOptions, Preprocessing, Source};

const SIDE: u32 = 28;
const HIDDEN: usize = 256;
const EMBEDDING: usize = 64;
const STEPS: u64 = 150;
const RATE: f64 = 1e-3;

/// Two linear layers.
#[derive(Module, Debug)]
struct Network {
    first: Linear,
    second: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new((SIDE * SIDE) as usize, HIDDEN).init(device),
            second: LinearConfig::new(HIDDEN, EMBEDDING).init(device),
        }
    }

    /// # Shapes
    /// - pixels: N×784, embeddings: N×64
    fn forward(&self, pixels: Tensor<2>) -> Tensor<2> {
        self.second.forward(Relu::new().forward(self.first.forward(pixels)))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let input = Input::Images(Preprocessing::new(SIDE, SIDE, 1));
    let catalogue = Source::Glyphs.catalogue()?;
    let (examples, _) =
        Examples::prepare(catalogue, &input, &PrepareOptions::default(), &|_, _| {})?;
    let labels = &examples.catalogue().labels;
    let everything: Vec<u32> = (0..examples.len() as u32).collect();
    let pixels = examples.matrix(&everything)?;

    // The last fifth of the classes is held out.
    let first_held_out = (labels.class_count() * 4 / 5) as u32;
    let part = |held_out: bool| -> Vec<usize> {
        let class = |&item: &usize| (labels.classes()[item] >= first_held_out) == held_out;
        (0..examples.len()).filter(class).collect()
    };
    let labels_of =
        |items: &[usize]| Labels::from_iter(items.iter().map(|&item| labels.classes()[item]));
    let (train, held_out) = (part(false), part(true));

    let device = Device::flex();
    device.seed(1);
    let mut network = Network::new(&device.clone().autodiff());
    let recall = |network: &Network| -> Result<f64, Box<dyn std::error::Error>> {
        let images = tensor(&pixels.select(Axis(0), &held_out), &device);
        let embeddings = matrix(network.valid().forward(images))?;
        let retrieval =
            Retrieval::leave_one_out(embeddings.view(), &labels_of(&held_out), Metric::default())?;
        Ok(retrieval.recall_at(1).unwrap_or(0.0))
    };
    println!("before: Recall@1 {:.3} on {} unseen pictures", recall(&network)?, held_out.len());

    let objective = TripletLoss::batch_hard();
    let sampler = PkSampler::new(&labels_of(&train), 16, 4, 0)?;
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    for step in 0..STEPS {
        let items: Vec<usize> =
            sampler.batch(step).into_iter().map(|item| train[item as usize]).collect();
        let images = tensor(&pixels.select(Axis(0), &items), &device.clone().autodiff());
        let embedded = network.forward(images);
        let embeddings = matrix(embedded.clone().inner())?;
        let outcome = objective.evaluate(embeddings.view(), &labels_of(&items))?;

        let gradient = tensor(&outcome.gradient, &embedded.device());
        let gradients = (embedded * gradient).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &network);
        network = optimizer.step(RATE, network, gradients);
        if step % 50 == 0 {
            println!("step {step}: loss {:.4}", outcome.value);
        }
    }
    println!("after: Recall@1 {:.3}", recall(&network)?);
    Ok(())
}

/// A matrix as a tensor.
fn tensor(matrix: &Array2<f32>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = matrix.iter().copied().collect();
    Tensor::from_data(TensorData::new(values, [matrix.nrows(), matrix.ncols()]), device)
}

/// A tensor as a matrix.
fn matrix(tensor: Tensor<2>) -> Result<Array2<f32>, Box<dyn std::error::Error>> {
    let shape = tensor.dims();
    let values = tensor.try_into_vec_as::<f32>()?;
    Ok(Array2::from_shape_vec((shape[0], shape[1]), values)?)
}
