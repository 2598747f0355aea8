//! The header is what the sources say, the guide and the C tests know every function, and the version is that of the crate.

use std::collections::BTreeSet;
use std::path::Path;

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The functions that the header declares.
fn functions(header: &str) -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for (at, _) in header.match_indices("lanepool_") {
        let rest = &header[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if rest[end..].starts_with('(') {
            functions.insert(rest[..end].to_owned());
        }
    }
    functions
}

/// `LANEPOOL_WRITE_HEADER`, which `scripts/capi-header` sets, writes the header instead of comparing it.
#[test]
fn the_header_is_what_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    // It follows the modules from there.
    let builder = cbindgen::Builder::new().with_config(config).with_src(root.join("src/lib.rs"));
    let mut header = Vec::new();
    builder.generate().expect("cbindgen reads the sources").write(&mut header);
    let header = String::from_utf8(header).expect("a header is text");
    if std::env::var_os("LANEPOOL_WRITE_HEADER").is_some() {
        std::fs::write(root.join("include/lanepool.h"), header).expect("include/ can be written to");
        return;
    }
    assert!(header == file("include/lanepool.h"), "capi/include/lanepool.h is stale: run scripts/capi-header");
}

/// Every function that is exported is declared, and every one that is declared is exported.
#[test]
fn every_exported_function_is_declared() {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("the sources");
    let source: String =
        folder.map(|source| std::fs::read_to_string(source.expect("a file").path()).expect("a source")).collect();
    let exported: BTreeSet<String> = source
        .split("#[unsafe(no_mangle)]")
        .skip(1)
        .filter_map(|rest| rest.split_once("fn ")?.1.split_once('('))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(exported.len() > 20, "{exported:?}");
    assert_eq!(functions(&file("include/lanepool.h")), exported);
}

/// The guide has a row for every function, and the C and the C++ program call it.
#[test]
fn every_function_is_documented_and_called() {
    let (guide, c) = (file("../docs/c.md"), file("tests/c/all.c"));
    let (wrapper, cpp) = (file("include/lanepool.hpp"), file("tests/c/all.cpp"));
    for function in functions(&file("include/lanepool.h")) {
        assert!(guide.contains(&format!("| `{function}` |")), "docs/c.md has no row for {function}");
        assert!(c.contains(&format!("{function}(")), "tests/c/all.c does not call {function}");
        let called = format!("{function}(");
        assert!(
            wrapper.contains(&called) || cpp.contains(&called),
            "neither lanepool.hpp nor all.cpp calls {function}"
        );
    }
}

/// The statuses and the rest of the constants in the guide are those of the header.
#[test]
fn the_guide_names_every_status() {
    let (guide, status) = (file("../docs/c.md"), file("src/status.rs"));
    for line in status.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().unwrap_or_default();
        assert!(guide.contains(&format!("`{name}`")), "docs/c.md does not name {name}");
    }
}

/// Every variant of the library's `Error` has a status of its own choice, as the match on it may not be exhaustive.
#[test]
fn every_error_has_a_status() {
    let (errors, status) = (file("../src/error.rs"), file("src/status.rs"));
    let declaration =
        errors.split_once("pub enum Error {").and_then(|(_, rest)| rest.split_once("\n}")).expect("Error");
    let variants = declaration.0.lines().filter_map(|line| line.strip_prefix("    "));
    let variants: Vec<&str> = variants
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| line.trim_end_matches([',', '{', ' ']))
        .collect();
    assert!(variants.len() > 30, "{variants:?}");
    for variant in variants {
        let name = format!("Error::{variant}");
        let mut uses = status.split(&name).skip(1);
        let is_named = uses.any(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()));
        assert!(is_named, "Error::{variant} has no status in src/status.rs");
    }
}

#[test]
fn the_version_is_that_of_the_crate() {
    use lanepool_capi::*;
    let version = format!("{LANEPOOL_VERSION_MAJOR}.{LANEPOOL_VERSION_MINOR}.{LANEPOOL_VERSION_PATCH}");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert_eq!(lanepool_version(), LANEPOOL_VERSION_MAJOR << 16 | LANEPOOL_VERSION_MINOR << 8 | LANEPOOL_VERSION_PATCH);
    // SAFETY: a text with a zero byte that lives for ever.
    let text = unsafe { std::ffi::CStr::from_ptr(lanepool_version_string()) };
    assert_eq!(text.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}
