//! Multi-similarity and supervised contrastive loss against pytorch-metric-learning:
//! `golden/terms.py` wrote the values.

#![allow(clippy::unwrap_used)] // tests may panic

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::Deserialize;
use tercet::{Distance, Labels, Metric, MultiSimilarity, Objective, SupervisedContrastive};

#[derive(Deserialize)]
struct Case {
    objective: String,
    distance: Distance,
    parameters: BTreeMap<String, f32>,
    labels: Vec<u32>,
    embeddings: Vec<Vec<f32>>,
    value: f64,
    gradient: Vec<Vec<f64>>,
}

impl Case {
    fn objective(&self) -> Objective {
        let metric = Metric { distance: self.distance, normalize: true };
        let parameter = |name: &str| self.parameters[name];
        match self.objective.as_str() {
            "multi-similarity" => MultiSimilarity {
                metric,
                alpha: parameter("alpha"),
                beta: parameter("beta"),
                base: parameter("base"),
                ..MultiSimilarity::default()
            }
            .into(),
            _ => SupervisedContrastive::default()
                .with_metric(metric)
                .with_temperature(parameter("temperature"))
                .into(),
        }
    }
}

#[test]
fn values_and_gradients_agree_with_pytorch_metric_learning() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/terms.json")).unwrap();
    assert_eq!(cases.len(), 10);
    for (number, case) in cases.iter().enumerate() {
        let (rows, columns) = (case.labels.len(), case.embeddings[0].len());
        let embeddings = Array2::from_shape_vec((rows, columns), case.embeddings.concat()).unwrap();
        let objective = case.objective();
        let labels = Labels::from_iter(&case.labels);
        let got = objective.evaluate(embeddings.view(), &labels).unwrap();
        let difference = (got.value - case.value).abs();
        assert!(difference <= 1e-5 * case.value, "case {number}, {objective}: {}", got.value);
        let expected = case.gradient.concat();
        let largest = expected.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
        for (got, expected) in got.gradient.iter().zip(&expected) {
            let difference = (f64::from(*got) - expected).abs();
            assert!(difference <= 2e-5 * largest, "case {number}, {objective}: {got} {expected}");
        }
    }
}
