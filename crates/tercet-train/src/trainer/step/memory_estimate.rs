//! An estimate of the memory of a training step, and how many items go through the network at once.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use tercet::ParameterError;

use crate::encoder::{Encoder, InputShape};
use crate::trainer::TrainError;
use crate::trainer::settings::{Bytes, Chunk, TrainConfig};

/// Bytes of an f32.
const VALUE: u64 = 4;

/// Number of copies of the weights: the weights, a gradient and the sum of gradients, two moments
/// of Adam.
const WEIGHTS: u64 = 5;

/// What the memory of a step depends on.
pub(in crate::trainer) struct Task<'a> {
    pub(in crate::trainer) encoder: &'a Encoder,
    pub(in crate::trainer) input: InputShape,
    /// Number of weights of the network.
    pub(in crate::trainer) parameters: usize,
    /// Number of items that a step trains on.
    pub(in crate::trainer) batch: usize,
    /// Number of items that are embedded in the step.
    pub(in crate::trainer) candidates: usize,
    /// Number of batches that the loader has in memory.
    pub(in crate::trainer) batches_ahead: usize,
}

/// Memory of the backward pass, as a share of the activations that the forward pass retains for it:
/// the gradients of the layers in progress, and the workspace of convolutions.
const BACKWARD: f64 = 0.5;

/// A smaller chunk than this gives unreliable statistics of batch norm.
const SMALLEST: u64 = 8;

/// Number of items that go through the network at once; none if the whole batch does.
///
/// The memory is estimated, not measured, and compared with the total memory of the machine instead
/// of the free memory, so that the same run on the same machine has the same chunks.
pub(in crate::trainer) fn chunk(
    config: &TrainConfig,
    task: &Task,
) -> Result<Option<usize>, TrainError> {
    let Task { encoder, input, batch, .. } = *task;
    let limit = match (config.chunk, config.ram_limit) {
        (Chunk::Items(items), _) => return Ok((items < batch).then_some(items)),
        (Chunk::Auto, Some(Bytes(limit))) => limit,
        (Chunk::Auto, None) => machine() / 2,
    };
    let item = item(encoder, input);
    let fixed = fixed(task);
    let fit = limit.saturating_sub(fixed) / item;
    if fit >= batch as u64 {
        return Ok(None);
    }
    if fit < SMALLEST {
        let least = Bytes((fixed + SMALLEST * item).div_ceil(1 << 20) << 20);
        return Err(ParameterError {
            parameter: "ram-limit",
            got: format!("{}", Bytes(limit)),
            expected: format!("at least {least} for this encoder and batch; or name --chunk"),
        }
        .into());
    }
    Ok(Some(fit as usize))
}

/// The estimated memory of a step in bytes, if `chunk` items go through the network at once:
/// `fixed + item · min(chunk, batch)`.
pub(in crate::trainer) fn memory(task: &Task, chunk: Option<usize>) -> u64 {
    let at_once = chunk.map_or(task.batch, |chunk| chunk.min(task.batch));
    fixed(task) + item(task.encoder, task.input) * at_once as u64
}

/// Bytes of one item in the network, forward and backward.
fn item(encoder: &Encoder, input: InputShape) -> u64 {
    let kept = VALUE * encoder.activations(input) as u64;
    kept + (BACKWARD * kept as f64) as u64
}

/// Bytes of the weights, of the optimiser's state, and of the batches.
fn fixed(task: &Task) -> u64 {
    let InputShape { channels, height, width } = task.input;
    // The batch of the step and a copy of it, and the batches that are prepared ahead.
    let batches = (2 + task.batches_ahead) * task.candidates * channels * height * width;
    VALUE * (WEIGHTS * task.parameters as u64 + batches as u64)
}

/// The memory of the machine in bytes, or the limit of this process's control group if that is
/// smaller.
fn machine() -> u64 {
    let memory = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(memory));
    let group = system.cgroup_limits().map(|group| group.total_memory).filter(|&total| total > 0);
    group.unwrap_or(u64::MAX).min(system.total_memory())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::encoder::{EncoderConfig, SmallCnnConfig};

    fn chunk_of(chunk: &str, limit: &str, batch: usize) -> Result<Option<usize>, String> {
        let config = TrainConfig {
            chunk: chunk.parse().unwrap(),
            ram_limit: Some(limit.parse().unwrap()),
            ..TrainConfig::default()
        };
        let input = InputShape { channels: 1, height: 28, width: 28 };
        let encoder = EncoderConfig::SmallCnn(SmallCnnConfig::default());
        let encoder = encoder.init(input, &Device::flex()).unwrap();
        let task = Task {
            encoder: &encoder,
            input,
            parameters: 113_000,
            batch,
            candidates: batch,
            batches_ahead: 3,
        };
        super::chunk(&config, &task).map_err(|error| error.to_string())
    }

    #[test]
    fn a_batch_that_fits_goes_at_once_and_others_in_the_largest_chunks_that_fit() {
        assert_eq!(chunk_of("auto", "1G", 64), Ok(None));
        let small = chunk_of("auto", "256M", 4096).unwrap().unwrap();
        let large = chunk_of("auto", "512M", 4096).unwrap().unwrap();
        assert!((8..large).contains(&small) && large < 4096, "{small} {large}");
        assert_eq!(chunk_of("48", "1M", 4096), Ok(Some(48)));
        assert_eq!(chunk_of("64", "1M", 64), Ok(None));
        let error = chunk_of("auto", "10M", 64).unwrap_err();
        assert!(error.starts_with("ram-limit is 10M: expected at least "), "{error}");
        let least = error.split(' ').nth(6).unwrap();
        assert_eq!(chunk_of("auto", least, 64), Ok(Some(8)));
        assert!(machine() > 1 << 26);
    }
}
