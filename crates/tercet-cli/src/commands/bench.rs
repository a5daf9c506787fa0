//! `tercet bench`: the speed of the objectives, as ratios to the matrix products that they need.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tercet::bench::{Extent, Measured, cases};

use crate::table::{Column, Table, count};
use crate::{General, progress};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// A few small batches only.
    #[arg(long)]
    quick: bool,
    /// Also batches that take seconds each.
    #[arg(long, conflicts_with = "quick")]
    large: bool,
    /// Only objectives whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Threads to use (0: every core).
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Bench {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        let budget = Duration::from_millis(if self.quick { 100 } else { 500 });
        let mut cases = cases(Extent { quick: self.quick, large: self.large });
        if let Some(text) = &self.only {
            cases.retain(|case| case.name.contains(text));
        }
        let bar = progress::bar(general, "measuring", cases.len());
        let measured: Vec<Measured> = cases
            .iter()
            .map(|case| {
                let measured = case.measure(budget).with_context(|| case.name.to_owned());
                bar.inc(1);
                measured
            })
            .collect::<anyhow::Result<_>>()?;
        bar.finish_and_clear();
        super::print(general, &measured, || text(&measured))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(measured: &[Measured]) -> String {
    let mut columns = vec![Column::Right; 10];
    columns[0] = Column::Text;
    let mut table = Table::new(columns);
    table.row([
        "objective",
        "batch",
        "classes",
        "ms",
        "floor ms",
        "products",
        "ratio",
        "least",
        "triplets",
        "peak MiB",
    ]);
    for case in measured {
        table.row([
            case.objective.to_string(),
            count(case.batch),
            count(case.classes),
            format!("{:.3}", case.seconds * 1e3),
            format!("{:.3}", case.floor_seconds * 1e3),
            case.floor_products.to_string(),
            format!("{:.2}", case.ratio),
            format!("{:.2}", case.least_ratio),
            count(case.triplets as usize),
            case.peak_bytes.map_or_else(|| "–".to_owned(), |bytes| count(bytes as usize >> 20)),
        ]);
    }
    table.text()
        + "\nfloor: the B×B×D products of the definition by the same kernels in the same run, 1 for \
           the distances and, where many pairs have a weight, 2 for the gradient; ratio: of \
           medians; least: of the shortest times"
}
