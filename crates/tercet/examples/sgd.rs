//! Trains a linear embedding by stochastic gradient descent, without any framework:
//! `cargo run --release -p tercet --example sgd`.
//!
//! Two of ten components of each vector tell its class, the others are noise that is five times as
//! large. The embedding is E = X·W, so the gradient of the weights is ∂L/∂W = Xᵀ·(∂L/∂E); the second
//! factor is what [`TripletLoss`] returns.

use std::f32::consts::TAU;

use ndarray::Array2;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tercet::{Labels, Metric, PkSampler, Retrieval, TripletLoss};

const CLASSES: usize = 20;
const ITEMS: usize = 10; // of each class
const COMPONENTS: usize = 10;
const STEPS: u64 = 200;
const RATE: f32 = 0.05;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let vectors = Array2::from_shape_fn((CLASSES * ITEMS, COMPONENTS), |(item, component)| {
        let angle = TAU * (item / ITEMS) as f32 / CLASSES as f32;
        match component {
            0 => angle.cos() + random.random_range(-0.05..0.05),
            1 => angle.sin() + random.random_range(-0.05..0.05),
            _ => random.random_range(-5.0..5.0),
        }
    });
    let labels = Labels::from_iter((0..CLASSES * ITEMS).map(|item| item / ITEMS));
    let mut weights = Array2::from_shape_fn((COMPONENTS, 4), |_| random.random_range(-0.3..0.3));

    let recall = |weights: &Array2<f32>| {
        let embeddings = vectors.dot(weights);
        Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default())
            .map(|retrieval| retrieval.recall_at(1).unwrap_or(0.0))
    };
    println!("before: Recall@1 {:.3}", recall(&weights)?);

    let objective = TripletLoss::batch_hard();
    let sampler = PkSampler::new(&labels, 10, 4, 0)?;
    for step in 0..STEPS {
        let items: Vec<usize> = sampler.batch(step).into_iter().map(|item| item as usize).collect();
        let batch = vectors.select(ndarray::Axis(0), &items);
        let batch_labels = Labels::from_iter(items.iter().map(|item| item / ITEMS));
        let outcome = objective.evaluate(batch.dot(&weights).view(), &batch_labels)?;
        weights.scaled_add(-RATE, &batch.t().dot(&outcome.gradient));
        if step % 50 == 0 {
            println!("step {step}: loss {:.4}, {} active", outcome.value, outcome.census.active);
        }
    }
    println!("after: Recall@1 {:.3}", recall(&weights)?);
    Ok(())
}
