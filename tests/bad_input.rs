//! Inputs that broke other engines: malformed models from their security advisories, and the edges where they disagree.
//!
//! Every test is named by its row: `g` for geometry, `s` for sizes and slices, `v` for values, `q` for quantised
//! parameters, `i` for indices, `c` for the C interface. Each checks which error it is, that its sentence names the axis
//! and the numbers, and that nothing was written; or what the defined result is. All rows stand in `bad_input/rows.txt`, those
//! that concern something the crate does not have with the reason, and [`every_row_is_a_test_or_is_listed`] keeps it honest.

#[macro_use]
mod common;
#[path = "bad_input/geometry.rs"]
mod geometry;
#[path = "bad_input/indices.rs"]
mod indices;
#[path = "bad_input/quantized.rs"]
mod quantized;
#[path = "bad_input/sizes.rs"]
mod sizes;
#[path = "bad_input/values.rs"]
mod values;
#[path = "bad_input/variable.rs"]
mod variable;

use common::check::poison;
use common::layer::{LAYOUTS, OPS};
use common::{Layer, Op, tiers};
use lanepool::{Any, DType, Error, Layout, MaxPool, Plan, Tier};

/// The rows, and why some have no test yet.
const ROWS: &str = include_str!("bad_input/rows.txt");

/// The sources whose tests count.
const SOURCES: [&str; 15] = [
    include_str!("bad_input.rs"),
    include_str!("clamp.rs"),
    include_str!("host_state.rs"),
    include_str!("indices.rs"),
    include_str!("strided.rs"),
    include_str!("views.rs"),
    include_str!("bad_input/geometry.rs"),
    include_str!("bad_input/quantized.rs"),
    include_str!("bad_input/indices.rs"),
    include_str!("bad_input/sizes.rs"),
    include_str!("bad_input/values.rs"),
    include_str!("bad_input/variable.rs"),
    include_str!("import/onnx.rs"),
    include_str!("import/torch.rs"),
    include_str!("../capi/tests/bad_input.rs"),
];

/// The names of all tests.
fn tests() -> impl Iterator<Item = &'static str> {
    SOURCES.into_iter().flat_map(|source| {
        let lines = source.lines().zip(source.lines().skip(1));
        lines.filter_map(|(above, line)| line.strip_prefix("fn ").filter(|_| above == "#[test]"))
    })
}

#[test]
fn every_row_is_a_test_or_is_listed() {
    let mut wrong = Vec::new();
    let mut rows = Vec::new();
    for line in ROWS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [row, input, _, reason] = cells[..] else {
            wrong.push(format!("not four cells: {line}"));
            continue;
        };
        match (tests().any(|test| test.starts_with(&format!("{row}_"))), reason.is_empty()) {
            (false, true) => wrong.push(format!("{row} ({input}) has neither a test nor a reason")),
            (true, false) => wrong.push(format!("{row} ({input}) has a test and is still listed as not having one")),
            _ => {}
        }
        if rows.contains(&row) {
            wrong.push(format!("{row} is listed twice"));
        }
        rows.push(row);
    }
    // A test that is named like a row, but is none's, would look like one that is missing.
    for test in tests() {
        let row = test.split('_').next().unwrap_or_default();
        let is_named_like_one = row.len() == 3 && row[1..].bytes().all(|byte| byte.is_ascii_digit());
        if is_named_like_one && !rows.contains(&row) {
            wrong.push(format!("{row} has a test and no row"));
        }
    }
    // Rows are added, never lost.
    if rows.len() < 88 {
        wrong.push(format!("only {} rows", rows.len()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The page of reports, whose tables are made of the rows.
const PAGE: &str = include_str!("../docs/reports.md");

/// Where a row is from: a project, or "CVE" and the like, and the number of a report or a commit; a project alone has none.
fn sources(cell: &str) -> Vec<(String, String)> {
    let mut project = String::new();
    let mut sources = Vec::new();
    for item in cell.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        if item.starts_with("CVE-") || item.starts_with("RUSTSEC-") {
            sources.push(("security advisories".to_owned(), item.to_owned()));
            continue;
        }
        let is_commit = |word: &str| word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        match item.rsplit_once(' ') {
            Some((name, number)) if number.starts_with('#') || is_commit(number) => {
                project = name.to_owned();
                sources.push((project.clone(), number.to_owned()));
            }
            None if item.starts_with('#') => sources.push((project.clone(), item.to_owned())),
            _ => sources.push((item.to_owned(), String::new())),
        }
    }
    sources
}

/// What the page must have between its markers: each report by project and number, with the tests of its row, or why there is
/// none.
fn reports() -> String {
    let mut reports = std::collections::BTreeMap::new();
    for line in ROWS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [row, input, from, reason] = cells[..] else { panic!("not four cells: {line}") };
        let named: Vec<String> =
            tests().filter(|test| test.starts_with(&format!("{row}_"))).map(|test| test.replace("()", "")).collect();
        let by: Vec<String> = named.iter().map(|test| format!("`{}`", test.trim_end_matches([' ', '{']))).collect();
        let by = if by.is_empty() { format!("no test here: {reason}") } else { by.join(", ") };
        for (project, number) in sources(from).into_iter().filter(|(_, number)| !number.is_empty()) {
            // By number, not by its digits from the left.
            let value = number.trim_start_matches('#').parse::<u64>().unwrap_or(u64::MAX);
            let key = (project.to_lowercase(), value, number.clone(), row.to_owned());
            reports.insert(key, format!("| {project} | {number} | {input} | {by} |\n"));
        }
    }
    let mut page = "| project | report | what broke | test |\n|---|---|---|---|\n".to_owned();
    page.extend(reports.into_values());
    page
}

/// `LANEPOOL_WRITE_REPORTS` writes the page instead of comparing it.
#[test]
fn the_page_of_reports_is_made_of_the_rows() {
    let (begin, end) = ("<!-- made by tests/bad_input.rs -->\n", "<!-- end -->\n");
    let (before, rest) = PAGE.split_once(begin).expect("the marker before the table");
    let (shown, after) = rest.split_once(end).expect("the marker after the table");
    let table = format!("\n{}\n", reports());
    if std::env::var_os("LANEPOOL_WRITE_REPORTS").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reports.md");
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).expect("docs/ can be written to");
        return;
    }
    assert!(
        shown == table,
        "docs/reports.md is stale: run this test with LANEPOOL_WRITE_REPORTS=1, which makes\n{table}"
    );
}

/// Every variant of [`Error`] is asserted by a test of this file's: the variants are read from where they are declared.
#[test]
fn every_error_is_asserted() {
    let source = include_str!("../src/error.rs");
    let declaration = source.split_once("pub enum Error {").and_then(|(_, rest)| rest.split_once("\n}"));
    let (declaration, _) = declaration.expect("the declaration of Error");
    let variants: Vec<&str> = declaration
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| line.trim_end_matches([',', '{', ' ']))
        .collect();
    assert!(variants.len() >= 14, "found {variants:?}");
    for variant in variants {
        let name = format!("Error::{variant}");
        let is_asserted = SOURCES.iter().flat_map(|source| statements(source)).any(|statement| {
            let mut uses = statement.split(&name).skip(1);
            let is_used = uses.any(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()));
            is_used && ["assert!(", "assert_eq!(", "let Error::"].iter().any(|judge| statement.contains(judge))
        });
        assert!(is_asserted, "no test asserts Error::{variant}");
    }
}

/// The statements of a source, without its comments: roughly, but an assertion is in one piece.
fn statements(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    code.join(" ").split(';').map(str::to_owned).collect()
}

/// Makes sure that `layer` is refused for every operation, planar and channels-last, on every tier, always with the same
/// error (up to the product that is named where one overflows). Returns the planar one.
fn refused(layer: &Layer) -> Error {
    let mut error: Option<Error> = None;
    for (_, op) in OPS {
        for (_, layout) in LAYOUTS.into_iter().take(2) {
            for tier in tiers::available() {
                let layer = Layer { op, layout, ..layer.clone() };
                let Err(got) = layer.plan::<f32>(Some(tier)) else { panic!("{layer} was accepted on {tier}") };
                let want = error.get_or_insert_with(|| got.clone());
                let both_overflow = matches!((&*want, &got), (Error::SizeOverflow { .. }, Error::SizeOverflow { .. }));
                assert!(*want == got || both_overflow, "{layer} on {tier}: {want:?} and {got:?}");
            }
        }
    }
    error.expect("every machine has a tier")
}

/// The error's sentence holds all of these.
fn says(error: &Error, parts: &[&str]) {
    let sentence = error.to_string();
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

/// A layer of one plane with a window, to be spoilt.
fn layer(shape: &[usize], kernel: &[usize]) -> Layer {
    Layer::new(Op::Sum, Layout::Nchw, shape, kernel)
}

/// A plan that works, and its input.
fn working() -> (Plan<f32>, Vec<f32>) {
    let plan = MaxPool::<f32>::new([2, 2]).plan(Layout::Nchw, [1, 2, 5, 7]).expect("a valid layer");
    let src = (0..plan.input_len()).map(|i| i as f32).collect();
    (plan, src)
}

/// A refused run leaves its output as it was.
fn refused_run(plan: &Plan<f32>, src: &[f32], len: usize) -> Error {
    let mut dst = vec![poison::<f32>(); len];
    let error = plan.run(src, &mut dst).expect_err("a run with slices of the wrong length");
    assert!(dst.iter().all(|value| value.to_bits() == poison::<f32>().to_bits()), "a refused run wrote");
    error
}

/// A tensor of a runtime type: bytes of another number, or that begin inside an element, are refused, and nothing is written.
#[test]
fn bytes_must_be_whole_elements() {
    let pool = MaxPool::<Any>::new([2]).stride([2]);
    for dtype in DType::ALL {
        let plan = pool.plan_as(*dtype, Layout::Nchw, [1, 1, 6]).unwrap_or_else(|error| panic!("{dtype}: {error}"));
        let bytes = dtype.bytes();
        assert_eq!((plan.dtype(), plan.input_bytes(), plan.output_bytes()), (*dtype, 6 * bytes, 3 * bytes));
        // Aligned to 8, whatever the bytes.
        let (mut src, mut dst) = ([0_u64; 8], [u64::MAX; 8]);
        let src: &mut [u8] = bytemuck::cast_slice_mut(&mut src);
        let dst: &mut [u8] = bytemuck::cast_slice_mut(&mut dst);
        let (src_len, dst_len) = (6 * bytes, 3 * bytes);
        let mut refused = |src: &[u8], from: usize, len: usize| {
            let error = plan.run(src, &mut dst[from..from + len]).expect_err("a bad slice");
            assert!(dst.iter().all(|byte| *byte == 0xff), "a refused run wrote");
            error
        };
        for got in [0, src_len - 1, src_len + 1] {
            let error = refused(&src[..got], 0, dst_len);
            assert_eq!(error, Error::BytesLen { what: "input", need: src_len, got });
            says(&error, &["input", &src_len.to_string(), &got.to_string()]);
        }
        for got in [0, dst_len - 1, dst_len + 1] {
            let error = refused(&src[..src_len], 0, got);
            assert_eq!(error, Error::BytesLen { what: "output", need: dst_len, got });
            says(&error, &["output", &dst_len.to_string(), &got.to_string()]);
        }
        // That of a float: on some 32-bit machines less than its size.
        let align = if bytes == size_of::<f64>() { align_of::<f64>() } else { bytes };
        for offset in 1..align {
            let error = refused(&src[offset..offset + src_len], 0, dst_len);
            assert_eq!(error, Error::Misaligned { what: "input", align });
            says(&error, &["input", &align.to_string()]);
            let error = refused(&src[..src_len], offset, dst_len);
            assert_eq!(error, Error::Misaligned { what: "output", align });
        }
        assert_eq!(plan.run(&src[..src_len], &mut dst[..dst_len]), Ok(()));
        assert!(dst[..dst_len].iter().all(|byte| *byte == 0));
    }
}

/// One plan is used by many threads at a time; clones too.
#[test]
fn c08_one_plan_on_many_threads() {
    fn is_shareable<T: Send + Sync + Clone>(_: &T) {}
    let (plan, src) = working();
    is_shareable(&plan);
    let want = plan.run_vec(&src).expect("a valid run");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(plan.clone().run_vec(&src).as_ref(), Ok(&want));
                }
            });
        }
    });
}

/// A plan whose tables or whose vector of outputs cannot be had is refused or planned without them: it neither ends the
/// process nor takes for ever.
#[test]
fn c13_plans_are_small_however_long_the_axis() {
    for tier in tiers::available() {
        // As many outputs as the address space can just hold; every one of them but a few is cut by padding.
        let most = 1 << (usize::BITS - 5);
        let long = layer(&[1, 1, 1], &[most + 1]).padding(&[most]);
        // The same number of outputs in the interior: nothing to table.
        let wide = layer(&[1, 1, most], &[3]).padding(&[1]);
        let deep = Layer { layout: Layout::Nhwc, ..layer(&[1, most, 1], &[1]) };
        let cut = layer(&[1, 1, 1 << 30], &[1 << 20]).padding(&[(1 << 20) - 1]);
        for (_, op) in OPS {
            for layer in [&long, &wide, &deep, &cut] {
                let layer = Layer { op, ..layer.clone() };
                match layer.plan::<f32>(Some(tier)) {
                    Ok(plan) => assert_eq!(plan.output_shape().len(), 3),
                    Err(error) => assert!(matches!(error, Error::SizeOverflow { .. }), "{layer}: {error}"),
                }
            }
        }
    }
}

/// A tier that the CPU lacks is an error with the reason, not a crash at its first instruction; one that is available is
/// the one that runs.
#[test]
fn c15_tiers_are_found_at_run_time() {
    let available = Tier::available();
    assert!(available.contains(&Tier::Scalar) && available.contains(&Tier::Portable));
    for tier in Tier::ALL {
        let plan = MaxPool::<f32>::new([2]).tier(tier).plan(Layout::Nchw, [1, 1, 4]);
        match (available.contains(&tier), plan) {
            (true, plan) => assert_eq!(plan.map(|plan| plan.tier()), Ok(tier)),
            (false, Err(error)) => {
                let Error::TierUnavailable { tier: named, why } = &error else { panic!("{error:?}") };
                assert_eq!((*named, Some(*why)), (tier, tier.missing()));
                says(&error, &[tier.name(), why]);
            }
            (false, Ok(plan)) => panic!("{tier} is not available and yet it planned {plan}"),
        }
    }
}
