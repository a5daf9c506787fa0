//! A BERT-like graph that is ready to run.

use std::collections::HashMap;
use std::sync::Mutex;

use ndarray::Array2;
use tercet_train::data::TokenPooling;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::graph::{Role, TextGraph};
use crate::network::guarded;

/// Numbers of tokens to which texts are padded if a graph has to be prepared for each number.
const LENGTHS: [usize; 13] = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];

/// Tokens of texts, N×T each.
#[derive(Debug)]
pub(super) struct Batch {
    texts: usize,
    tokens: usize,
    ids: Vec<i64>,
    mask: Vec<i64>,
    kinds: Vec<i64>,
}

impl Batch {
    /// A batch in which all places are masked.
    pub(super) fn empty(texts: usize, tokens: usize) -> Self {
        let zeros = || vec![0; texts * tokens];
        Self { texts, tokens, ids: zeros(), mask: zeros(), kinds: zeros() }
    }

    /// Puts a token into its place.
    pub(super) fn set(&mut self, text: usize, place: usize, id: i64, kind: i64) {
        let place = text * self.tokens + place;
        self.ids[place] = id;
        self.mask[place] = 1;
        self.kinds[place] = kind;
    }

    /// One text, padded to a length.
    fn one(&self, text: usize, tokens: usize) -> Self {
        let mut one = Self::empty(1, tokens);
        for place in 0..self.tokens {
            let from = text * self.tokens + place;
            if self.mask[from] == 1 {
                one.set(0, place, self.ids[from], self.kinds[from]);
            }
        }
        one
    }
}

/// A graph that maps tokens to vectors.
#[derive(Debug)]
pub(super) struct TextNetwork {
    inputs: Vec<(Role, bool)>,
    plans: Plans,
}

type Plan = Arc<TypedRunnableModel>;

#[derive(Debug)]
enum Plans {
    /// One plan for any numbers of texts and tokens.
    Any(Plan),
    /// A plan for one text of each number of tokens, prepared when it is first needed.
    Fixed(Box<Fixed>),
}

#[derive(Debug)]
struct Fixed {
    proto: ModelProto,
    folder: Option<String>,
    inputs: Vec<(Role, bool)>,
    output: String,
    max_tokens: usize,
    plans: Mutex<HashMap<usize, Plan>>,
}

impl TextNetwork {
    /// Prepares a graph; weights in separate files are read from `folder`. The error says what is
    /// wrong with the graph.
    pub(super) fn new(
        proto: ModelProto,
        graph: &TextGraph,
        folder: Option<&str>,
        max_tokens: usize,
    ) -> Result<Self, String> {
        let inputs = graph.inputs.clone();
        if let Ok(plan) = plan(&proto, folder, &inputs, &graph.output, None) {
            let network = Self { inputs: inputs.clone(), plans: Plans::Any(plan) };
            // Some graphs are accepted and then fail for another number of texts or tokens.
            let works = [(2, 3), (1, 5)].into_iter().all(|(texts, tokens)| {
                let mut batch = Batch::empty(texts, tokens.min(max_tokens));
                for text in 0..texts {
                    batch.set(text, 0, 0, 0);
                }
                network.forward(&batch, TokenPooling::Mean).is_ok()
            });
            if works {
                return Ok(network);
            }
        }
        let fixed = Fixed {
            proto,
            folder: folder.map(str::to_owned),
            inputs: inputs.clone(),
            output: graph.output.clone(),
            max_tokens,
            plans: Mutex::default(),
        };
        Ok(Self { inputs, plans: Plans::Fixed(Box::new(fixed)) })
    }

    /// The vectors of texts, N×D: those of their tokens, pooled, or those that the graph gives for
    /// whole texts.
    pub(super) fn forward(
        &self,
        batch: &Batch,
        pooling: TokenPooling,
    ) -> Result<Array2<f32>, String> {
        match &self.plans {
            Plans::Any(plan) => self.pass(plan, batch, pooling),
            Plans::Fixed(fixed) => {
                let length = LENGTHS.into_iter().find(|length| *length >= batch.tokens);
                let length = length.unwrap_or(batch.tokens).min(fixed.max_tokens.max(batch.tokens));
                let plan = fixed.plan(length)?;
                let mut rows = Vec::new();
                for text in 0..batch.texts {
                    rows.extend(self.pass(&plan, &batch.one(text, length), pooling)?);
                }
                matrix(batch.texts, rows)
            }
        }
    }

    fn pass(
        &self,
        plan: &Plan,
        batch: &Batch,
        pooling: TokenPooling,
    ) -> Result<Array2<f32>, String> {
        let told = |error: TractError| format!("{error:#}");
        let (texts, tokens) = (batch.texts, batch.tokens);
        let mut values = TVec::new();
        for &(role, is_short) in &self.inputs {
            let numbers = match role {
                Role::Ids => &batch.ids,
                Role::Mask => &batch.mask,
                Role::Kinds => &batch.kinds,
            };
            let tensor = Tensor::from_shape(&[texts, tokens], numbers).map_err(told)?;
            let tensor = match is_short {
                true => tensor.cast_to::<i32>().map_err(told)?.into_owned(),
                false => tensor,
            };
            values.push(tensor.into_tvalue());
        }
        let outputs = guarded(|| plan.run(values).map_err(told))??;
        let output = outputs.first().ok_or("the network has no output")?;
        let output = output.cast_to::<f32>().map_err(told)?;
        let view = output.to_plain_array_view::<f32>().map_err(told)?;
        let numbers: Vec<f32> = view.iter().copied().collect();
        match *output.shape() {
            [rows, _] if rows == texts => matrix(texts, numbers),
            [rows, places, dimensions] if (rows, places) == (texts, tokens) && dimensions > 0 => {
                let of_texts = numbers.chunks_exact(tokens * dimensions);
                let rows = of_texts.zip(batch.mask.chunks_exact(tokens));
                let rows =
                    rows.flat_map(|(values, mask)| pooled(values, mask, dimensions, pooling));
                matrix(texts, rows.collect())
            }
            ref shape => {
                let sides: Vec<_> = shape.iter().map(usize::to_string).collect();
                Err(format!(
                    "the network's output is {} for {texts} texts of {tokens} tokens: expected a row \
                     of numbers for each token or text; another output may be chosen by its name",
                    sides.join("×")
                ))
            }
        }
    }
}

impl Fixed {
    fn plan(&self, tokens: usize) -> Result<Plan, String> {
        let mut plans = self.plans.lock().map_err(|_| "the network failed before".to_owned())?;
        if let Some(plan) = plans.get(&tokens) {
            return Ok(plan.clone());
        }
        let folder = self.folder.as_deref();
        let plan = plan(&self.proto, folder, &self.inputs, &self.output, Some(tokens))?;
        plans.insert(tokens, plan.clone());
        Ok(plan)
    }
}

/// Prepares a graph for one text of this many tokens, or for any numbers of texts and tokens.
fn plan(
    proto: &ModelProto,
    folder: Option<&str>,
    inputs: &[(Role, bool)],
    output: &str,
    tokens: Option<usize>,
) -> Result<Plan, String> {
    // Shapes that the file contains may be those of other numbers.
    let reader = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
    let plan = || -> TractResult<Plan> {
        let mut model = reader.parse(proto, folder)?.model;
        model = model.with_outputs_by_name([output])?;
        let shape = match tokens {
            Some(tokens) => [1.to_dim(), tokens.to_dim()],
            None => [model.sym("texts").to_dim(), model.sym("tokens").to_dim()],
        };
        for (place, (_, is_short)) in inputs.iter().enumerate() {
            let kind = if *is_short { i32::datum_type() } else { i64::datum_type() };
            model.set_input_fact(place, InferenceFact::dt_shape(kind, shape.clone()))?;
        }
        model.into_optimized()?.into_runnable()
    };
    guarded(plan)?.map_err(|error| format!("{error:#}"))
}

fn matrix(rows: usize, numbers: Vec<f32>) -> Result<Array2<f32>, String> {
    let columns = numbers.len().checked_div(rows).unwrap_or_default();
    Array2::from_shape_vec((rows, columns), numbers).map_err(|error| error.to_string())
}

/// The mean of the unmasked rows of T×D values, or the first of them.
fn pooled(values: &[f32], mask: &[i64], dimensions: usize, pooling: TokenPooling) -> Vec<f32> {
    let tokens = values.chunks_exact(dimensions).zip(mask).filter(|(_, mask)| **mask == 1);
    match pooling {
        TokenPooling::Cls => values[..dimensions].to_vec(),
        TokenPooling::Mean => {
            let (mut sum, mut count) = (vec![0.0_f64; dimensions], 0.0_f64);
            for (token, _) in tokens {
                sum.iter_mut().zip(token).for_each(|(sum, &value)| *sum += f64::from(value));
                count += 1.0;
            }
            sum.into_iter().map(|sum| (sum / count.max(1.0)) as f32).collect()
        }
    }
}
