//! The streaming bound that the Python program has, too.

fn main() {
    println!("cargo::rerun-if-changed=../bound.c");
    cc::Build::new().file("../bound.c").std("gnu11").opt_level(3).flag("-march=native").compile("bound");
}
