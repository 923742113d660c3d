//! Some seeds in an unoptimised build: that the simulation runs, and that a seed is a run. The thousand
//! of `cargo xtask simulate` are run optimised.

use simulation::run;

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2] {
        let (one, two) = (run(seed, 150, false), run(seed, 150, false));
        assert_eq!(one.violations, Vec::<String>::new(), "seed {seed}");
        assert!(one.hash.is_some() && one.hash == two.hash, "seed {seed}: {one:?} {two:?}");
        assert!(one.commands >= 150 && one.ends.iter().sum::<u64>() == one.commands);
    }
    assert_ne!(run(1, 150, false).hash, run(2, 150, false).hash);
}
