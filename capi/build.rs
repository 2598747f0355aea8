//! The name by which programs that are linked to the shared library ask for it.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let get = |name| env::var(name).unwrap_or_default();
    if get("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    // Before 1.0 any minor version may break the interface, and does so under a name of its own. cargo-c gives the same name.
    let (major, minor) = (get("CARGO_PKG_VERSION_MAJOR"), get("CARGO_PKG_VERSION_MINOR"));
    let version = if major == "0" { format!("{major}.{minor}") } else { major };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liblanepool.so.{version}");
}
