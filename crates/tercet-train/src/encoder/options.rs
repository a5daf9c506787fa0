//! Options as the command line gives them, of whichever architecture.

use tercet::ParameterError;

use super::{EncoderConfig, Pooling};

/// Options that some architecture has; those not given take the architecture's defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EncoderOptions {
    /// Components of an embedding.
    pub embedding_dim: Option<usize>,
    /// Channels of the first layer or of every block.
    pub width: Option<usize>,
    /// Blocks.
    pub depth: Option<usize>,
    /// Components of the hidden layer.
    pub hidden: Option<usize>,
    /// What the head sees of the last map.
    pub pooling: Option<Pooling>,
}

impl EncoderOptions {
    /// Moves a given option into its place in a configuration.
    pub(super) fn take<T>(option: &mut Option<T>, place: &mut T) {
        if let Some(value) = option.take() {
            *place = value;
        }
    }

    /// Refuses options that were given and not taken.
    pub(super) fn none_left(&self, config: &EncoderConfig) -> Result<(), ParameterError> {
        let number = |given: Option<usize>| given.map(|number| number.to_string());
        let left = [
            ("embedding-dim", number(self.embedding_dim)),
            ("width", number(self.width)),
            ("depth", number(self.depth)),
            ("hidden", number(self.hidden)),
            ("pooling", self.pooling.map(|pooling| pooling.to_string())),
        ];
        match left.into_iter().find_map(|(option, given)| Some((option, given?))) {
            None => Ok(()),
            Some((option, got)) => Err(ParameterError {
                parameter: option,
                got,
                expected: format!("nothing, since {} has no such option", config.name()),
            }),
        }
    }
}

/// Refuses a size outside its range.
pub(super) fn check_range(
    option: &'static str,
    got: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<(), ParameterError> {
    if range.contains(&got) {
        return Ok(());
    }
    Err(ParameterError {
        parameter: option,
        got: got.to_string(),
        expected: format!("{} to {}", range.start(), range.end()),
    })
}
