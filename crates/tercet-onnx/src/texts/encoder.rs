//! The encoder of texts: from texts to rows of numbers.

use std::ops::ControlFlow;

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use tercet_train::data::{DataError, TextInput};
use tercet_train::model::{ModelError, normalize_rows};
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};
use tract_onnx::pb::ModelProto;

use super::TextGraph;
use super::network::{Batch, TextNetwork};

/// The largest number of tokens of a batch, padding included. Larger batches were not faster on a
/// CPU.
const BATCH_TOKENS: usize = 512;

/// The number of texts that are tokenised at once.
const TOKENISED: usize = 1024;

/// Tokeniser, graph and pooling of an encoder of texts.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
    network: TextNetwork,
    input: TextInput,
}

/// The tokens of a text: their ids, and the number of its sentence, which is 0 if there is one.
#[derive(Debug, Default)]
struct Tokens {
    ids: Vec<u32>,
    kinds: Vec<u32>,
}

impl TextEncoder {
    /// Prepares a graph for inference. `tokenizer` is the content of `tokenizer.json`. The error says
    /// what is wrong.
    pub(crate) fn new(
        proto: ModelProto,
        graph: &TextGraph,
        folder: Option<&str>,
        tokenizer: &[u8],
        input: TextInput,
    ) -> Result<Self, String> {
        let tokenizer = tokenizer_of(tokenizer, graph, input.max_tokens)?;
        let network = TextNetwork::new(proto, graph, folder, input.max_tokens)?;
        let encoder = Self { tokenizer, network, input };
        // A graph that cannot run is refused here rather than in the middle of long work.
        encoder.rows(&["a"]).map_err(|error| error.to_string())?;
        Ok(encoder)
    }

    /// The embeddings of texts, one row each, in their order. `progress` receives the number of
    /// texts that are done, and may stop the computation.
    pub(crate) fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        let mut rows: Vec<Array2<f32>> = Vec::new();
        let mut done = 0;
        for some in texts.chunks(TOKENISED) {
            rows.push(self.rows(some)?);
            done += some.len();
            if progress(done).is_break() {
                return Err(DataError::Interrupted.into());
            }
        }
        let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
        ndarray::concatenate(Axis(0), &views).map_err(|error| ModelError::Embed(error.to_string()))
    }

    fn rows(&self, texts: &[&str]) -> Result<Array2<f32>, ModelError> {
        let tokens = self.tokens(texts)?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&text| tokens[text].ids.len());
        let pooled = batches(&order, &tokens)
            .par_iter()
            .map(|batch| {
                let some: Vec<&Tokens> = batch.iter().map(|&text| &tokens[text]).collect();
                self.network.forward(&Batch::of(&some), self.input.pooling)
            })
            .collect::<Result<Vec<Array2<f32>>, String>>()
            .map_err(ModelError::Embed)?;
        let dimensions = pooled.first().map_or(0, Array2::ncols);
        let mut rows = Array2::zeros((texts.len(), dimensions));
        let sorted = pooled.iter().flat_map(|batch| batch.outer_iter());
        for (&text, row) in order.iter().zip(sorted) {
            rows.row_mut(text).assign(&row);
        }
        if rows.iter().any(|value| !value.is_finite()) {
            let reason = "the network gave values that are not finite";
            return Err(ModelError::Embed(reason.to_owned()));
        }
        if self.input.normalize {
            normalize_rows(&mut rows);
        }
        Ok(rows)
    }

    fn tokens(&self, texts: &[&str]) -> Result<Vec<Tokens>, ModelError> {
        let told = |error: tokenizers::Error| ModelError::Embed(format!("the tokeniser: {error}"));
        let encoded = self.tokenizer.encode_batch_fast(texts.to_vec(), true).map_err(told)?;
        texts
            .iter()
            .zip(encoded)
            .map(|(text, encoding)| match encoding.is_empty() {
                true => Err(ModelError::Embed(format!("the tokeniser finds no token in {text:?}"))),
                false => Ok(Tokens {
                    ids: encoding.get_ids().to_vec(),
                    kinds: encoding.get_type_ids().to_vec(),
                }),
            })
            .collect()
    }
}

/// Texts in the order of their lengths, in batches of at most [`BATCH_TOKENS`].
fn batches<'a>(order: &'a [usize], tokens: &[Tokens]) -> Vec<&'a [usize]> {
    let mut batches = Vec::new();
    let mut rest = order;
    while !rest.is_empty() {
        let fits = |count: usize| count * tokens[rest[count - 1]].ids.len() <= BATCH_TOKENS;
        let count = (2..=rest.len()).take_while(|&count| fits(count)).last().unwrap_or(1);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}

fn tokenizer_of(bytes: &[u8], graph: &TextGraph, max_tokens: usize) -> Result<Tokenizer, String> {
    let refuse = |error: tokenizers::Error| format!("its tokenizer.json cannot be used: {error}");
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(refuse)?;
    let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or_default() as usize;
    if let Some((matrix, rows)) = graph.vocabulary()
        && largest >= rows
    {
        return Err(format!(
            "its tokenizer.json has tokens with ids up to {largest}, expected less than {rows}, the \
             rows of the graph's embeddings `{matrix}`: it is the tokeniser of another model"
        ));
    }
    let truncation = TruncationParams {
        direction: TruncationDirection::Right,
        max_length: max_tokens,
        strategy: TruncationStrategy::LongestFirst,
        stride: 0,
    };
    tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(|error| {
        format!("at most {max_tokens} tokens are too few for its tokeniser: {error}")
    })?;
    Ok(tokenizer)
}

impl Batch {
    /// A batch of texts, padded to the longest. Padding has the id 0 and is masked.
    fn of(texts: &[&Tokens]) -> Self {
        let tokens = texts.iter().map(|text| text.ids.len()).max().unwrap_or_default();
        let mut batch = Self::empty(texts.len(), tokens);
        for (row, text) in texts.iter().enumerate() {
            for (place, (&id, &kind)) in text.ids.iter().zip(&text.kinds).enumerate() {
                batch.set(row, place, i64::from(id), i64::from(kind));
            }
        }
        batch
    }
}
