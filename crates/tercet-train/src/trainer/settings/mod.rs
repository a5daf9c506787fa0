//! The settings of a run: the configuration, the types of its values, and what is derived from
//! them.

mod batch;
mod best_weights;
mod checks;
mod command;
mod config;
mod curriculum;
mod fine_tuning;
mod image_size;
mod objective;
mod on_collapse;
mod optimizer;
mod phases;
mod resolved;
mod schedule;
mod text;

pub use batch::{BatchShape, Bytes, Chunk, Pool};
pub use best_weights::{Keep, Monitor};
pub use config::TrainConfig;
pub use curriculum::{Curriculum, Stage};
pub use image_size::ImageSize;
pub use objective::{Margin, Parts};
pub use on_collapse::OnCollapse;
pub(super) use optimizer::BETA_1;
pub use optimizer::{OptimizerConfig, OptimizerKind};
pub use phases::Phase;
pub use schedule::{Schedule, ScheduleKind};
