//! A graph that is ready to run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rayon::prelude::*;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

/// A graph that maps items of a fixed shape to rows of numbers, for one batch size.
#[derive(Debug)]
pub(crate) struct Network {
    plan: Arc<TypedRunnableModel>,
    /// The shape of a batch: its size, and the axes of an item.
    shape: Vec<usize>,
}

impl Network {
    /// Prepares a graph for inputs of `shape`, whose first axis is the batch. Weights in separate
    /// files are read from the folder of `path`. The error describes what is wrong with the graph.
    pub(crate) fn new(
        proto: &ModelProto,
        path: &Path,
        shape: Vec<usize>,
        output: Option<&str>,
    ) -> Result<Self, String> {
        let folder = path.parent().and_then(Path::to_str);
        let fact = InferenceFact::dt_shape(f32::datum_type(), &*shape);
        // Shapes that the file contains may be those of another batch size.
        let reader =
            tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
        let plan = || -> TractResult<Arc<TypedRunnableModel>> {
            let mut model = reader.parse(proto, folder)?.model;
            if let Some(name) = output {
                model = model.with_outputs_by_name([name])?;
            }
            model.with_input_fact(0, fact)?.into_optimized()?.into_runnable()
        };
        let plan = guarded(plan)?.map_err(|error| format!("{error:#}"))?;
        Ok(Self { plan, shape })
    }

    /// Checks that the output has one row per item of a batch, if its shape is known; the error is
    /// the length of its first axis.
    pub(crate) fn rows(&self) -> Result<(), usize> {
        let fact = self.plan.model().output_fact(0).ok();
        let first = fact.and_then(|fact| fact.shape.as_concrete()).and_then(|sides| sides.first());
        match first {
            Some(&rows) if rows != self.shape[0] => Err(rows),
            _ => Ok(()),
        }
    }

    /// The output rows of items, concatenated; parts of one batch each run in parallel.
    pub(crate) fn forward(&self, items: &[f32]) -> Result<Vec<f32>, String> {
        let part = self.shape.iter().product();
        let parts: Vec<_> =
            items.par_chunks(part).map(|items| self.pass(items)).collect::<Result<_, _>>()?;
        Ok(parts.concat())
    }

    /// One forward pass; a part that is smaller than the batch is padded with zeros.
    fn pass(&self, items: &[f32]) -> Result<Vec<f32>, String> {
        let batch = self.shape[0];
        let count = items.len() / self.shape[1..].iter().product::<usize>();
        let mut values = items.to_vec();
        values.resize(self.shape.iter().product(), 0.0);
        let told = |error: TractError| format!("{error:#}");
        let tensor = Tensor::from_shape(&self.shape, &values).map_err(told)?;
        let outputs = guarded(|| self.plan.run(tvec!(tensor.into_tvalue())).map_err(told))??;
        let output = outputs.first().ok_or("the network has no output")?;
        let output = output.cast_to::<f32>().map_err(told)?;
        let components = match output.shape() {
            &[rows, components, ..] if rows == batch && output.len() == rows * components => {
                components
            }
            shape => {
                let sides: Vec<_> = shape.iter().map(usize::to_string).collect();
                return Err(format!(
                    "the network's output is {} for {batch} items: expected a row of numbers for \
                     each; another output may be chosen by its name",
                    sides.join("×")
                ));
            }
        };
        let view = output.to_plain_array_view::<f32>().map_err(told)?;
        Ok(view.iter().copied().take(count * components).collect())
    }
}

/// The engine is an external library: a panic on a malformed graph becomes an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("its graph is malformed: {}", text.unwrap_or("unknown reason"))
    })
}
