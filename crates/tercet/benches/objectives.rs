//! The cases of `tercet bench` with criterion's statistics: every objective beside its floor.
//!
//! `cargo bench -p tercet -- lifted` measures the objectives whose name contains `lifted`. The
//! ratio of the two lines of a case is what [`tercet::bench`] explains.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tercet::bench::{Extent, cases};

fn objectives(criterion: &mut Criterion) {
    for case in cases(Extent::default()) {
        let (vectors, labels) = case.data();
        let mut floor = case.floor(vectors.view(), &labels);
        let mut group = criterion.benchmark_group(case.name);
        group.sample_size(20).measurement_time(Duration::from_secs(2));
        let shape = format!("{} in {} classes", case.batch, case.classes);
        group.bench_function(BenchmarkId::new("floor", &shape), |bencher| {
            bencher.iter(|| floor.work());
        });
        group.bench_function(BenchmarkId::new("objective", &shape), |bencher| {
            bencher.iter(|| case.objective.evaluate(vectors.view(), &labels));
        });
        group.finish();
    }
}

criterion_group!(benches, objectives);
criterion_main!(benches);
