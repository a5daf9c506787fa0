//! Without a build script cargo ignores the build dependencies, whose features are what counts here.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
