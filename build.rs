//! Names the tiers that this target can have, once, so that no other file asks about architectures.
//!
//! `lanepool_x86` stands for the tiers AVX2 and AVX-512, `lanepool_neon` for NEON. The tiers scalar and
//! portable exist everywhere. Which of them a CPU really has is found at run time (`kernels/token.rs`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(lanepool_x86, lanepool_neon)");

    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let endian = std::env::var("CARGO_CFG_TARGET_ENDIAN").unwrap_or_default();
    match arch.as_str() {
        "x86_64" => println!("cargo::rustc-cfg=lanepool_x86"),
        // The lanes of a big-endian NEON register are numbered the other way round; nobody has measured
        // such a machine, so it gets the portable tier.
        "aarch64" if endian == "little" => println!("cargo::rustc-cfg=lanepool_neon"),
        _ => {}
    }
}
