//! `lanepool bench` and `lanepool info`.

mod common;

use std::fs;

use common::{assert_refused, lanepool, stderr, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

fn cases() -> Value {
    json!([
        {"name": "small stem", "op": "max", "layout": "nchw", "element": "f32", "shape": [1, 4, 12, 12],
         "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1]},
        {"name": "head", "op": "AveragePool", "layout": "NHWC", "element": "float32", "shape": [1, 32, 7, 7], "kernel": "global"},
        {"name": "blocked", "op": "min", "layout": "nchw8c", "element": "f32", "shape": [2, 16, 9, 5], "kernel": [2, 3]},
        {"name": "volume", "op": "sum", "layout": "nhwc", "element": "f32", "shape": [1, 3, 4, 5, 6], "kernel": [2, 2, 2]},
    ])
}

#[test]
fn json_has_a_record_for_each_case_and_tier() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cases.json");
    fs::write(&file, cases().to_string()).unwrap();
    let run = lanepool().args(["bench", "--json", "--rounds", "3", "--cases"]).arg(&file).output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let records: Vec<Value> = serde_json::from_str(&stdout(&run)).unwrap();
    let tiers = lanepool::Tier::available();
    assert_eq!(records.len(), 4 * tiers.len());
    for (i, record) in records.iter().enumerate() {
        assert_eq!(record["name"], cases()[i / tiers.len()]["name"]);
        assert_eq!(record["tier"], tiers[i % tiers.len()].name());
        assert_eq!(record["threads"], 1);
        assert_eq!(record["same_bits"], true);
        for key in ["kernel_ns", "bound_ns", "ratio"] {
            assert!(record[key].as_f64().is_some_and(|value| value > 0.0), "{record}");
        }
    }
}

/// Each key of a record, and no other; every element and layout; a time that is the time of something.
#[test]
fn records_are_what_the_tool_promises() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cases.json");
    let elements = ["f32", "f64", "f16", "bf16", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64"];
    let case = |element: &&str| {
        // Integers of 64 bits have no average.
        let op = if element.ends_with("64") && *element != "f64" { "max" } else { "avg" };
        json!({"name": element, "op": op, "layout": "nhwc", "element": element, "shape": [1, 3, 6, 8],
            "kernel": [2, 3], "stride": [2, 1], "padding": [0, 1], "dilation": [1, 2]})
    };
    fs::write(&file, elements.iter().map(case).collect::<Value>().to_string()).unwrap();
    let run = lanepool()
        .args(["bench", "--json", "--rounds", "1", "--tier", "scalar", "--cases"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(run.status.success() && stderr(&run).is_empty(), "{}", stderr(&run));
    let records: Vec<Value> = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(records.iter().map(|record| &record["name"]).collect::<Vec<_>>(), elements);
    let keys = ["bound_ns", "driver", "kernel_ns", "name", "ratio", "same_bits", "threads", "tier"];
    for record in &records {
        let mut found: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys);
        // Of one round, the median of the ratios is the ratio.
        let [kernel, bound, ratio] = ["kernel_ns", "bound_ns", "ratio"].map(|key| record[key].as_f64().unwrap());
        assert!((kernel / bound / ratio - 1.0).abs() < 1e-9, "{record}");
    }
}

/// Every operation, in both layouts: one record a tier, or one in all where the code has no tiers.
#[test]
fn every_operation_is_timed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cases.json");
    let tiers = lanepool::Tier::available();
    let mut cases = Vec::new();
    let mut expected = Vec::new();
    for (op, element, has_tiers, more) in [
        ("max", "f16", true, json!({"kernel": 3, "stride": 2, "padding": 1})),
        ("min", "bf16", true, json!({"kernel": 2})),
        ("sum", "i8", true, json!({"kernel": "global"})),
        ("lp", "f32", true, json!({"kernel": 2, "p": 3})),
        ("lp", "f64", true, json!({"kernel": 2, "p": "inf"})),
        ("quantized_avg", "u8", true, json!({"kernel": 2, "scale": 0.5, "zero_point": 128, "output_scale": 0.25})),
        ("quantized_max", "i8", true, json!({"kernel": 2, "output_zero_point": -3})),
        ("max_indices", "f32", true, json!({"kernel": 2, "stride": 2, "index": "i32"})),
        ("max_indices", "u16", true, json!({"kernel": 3, "padding": 1, "index": "i64"})),
        ("adaptive_max", "i32", true, json!({"output": [2, 3]})),
        ("adaptive_avg", "f32", true, json!({"output": 3})),
        ("fractional_max", "f16", false, json!({"kernel": 2, "output": [4, 5]})),
        ("fractional_max", "u8", false, json!({"kernel": 3, "output": 2})),
        ("unpool", "f32", false, json!({"kernel": 2, "stride": 2})),
        ("unpool", "i16", false, json!({"kernel": 3, "stride": 2, "padding": 1, "index": "i32"})),
        ("max_backward", "f32", false, json!({"kernel": 3, "stride": 2, "padding": 1})),
        ("max_backward", "bf16", false, json!({"kernel": 2, "index": "i32"})),
        ("avg_backward", "f64", false, json!({"kernel": 2, "stride": 2})),
        ("lp_backward", "f16", false, json!({"kernel": 2, "p": 2})),
    ] {
        for layout in ["nchw", "nhwc"] {
            let name = format!("{op} {element} {layout}");
            let mut case = json!({"name": name, "op": op, "element": element, "layout": layout, "shape": [2, 5, 7, 9]});
            case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            cases.push(case);
            let of = if has_tiers { tiers.as_slice() } else { &tiers[tiers.len() - 1..] };
            expected.extend(of.iter().map(|tier| (name.clone(), tier.name())));
        }
    }
    fs::write(&file, Value::from(cases).to_string()).unwrap();
    let run = lanepool().args(["bench", "--json", "--rounds", "1", "--cases"]).arg(&file).output().unwrap();
    assert!(run.status.success() && stderr(&run).is_empty(), "{}", stderr(&run));
    let records: Vec<Value> = serde_json::from_str(&stdout(&run)).unwrap();
    let found: Vec<_> = records.iter().map(|record| (&record["name"], &record["tier"])).collect();
    assert_eq!(json!(found), json!(expected));
    for record in &records {
        assert!(record["same_bits"] == true && record["kernel_ns"].as_f64() > Some(0.0), "{record}");
    }
    let run = lanepool().args(["bench", "--once", "--cases"]).arg(&file).output().unwrap();
    assert!(run.status.success() && run.stdout.is_empty() && run.stderr.is_empty(), "{}", stderr(&run));
    // All of them on two threads.
    let run = lanepool()
        .args([
            "bench",
            "--json",
            "--rounds",
            "1",
            "--threads",
            "2",
            "--tier",
            "portable",
            "--only",
            "f32 nhwc",
            "--cases",
        ])
        .arg(&file)
        .output()
        .unwrap();
    let records: Vec<Value> = serde_json::from_str(&stdout(&run)).unwrap();
    let threads: Vec<_> = records.iter().map(|record| (&record["name"], &record["threads"])).collect();
    let expected = json!([
        ["lp f32 nhwc", 2],
        ["max_indices f32 nhwc", 2],
        ["adaptive_avg f32 nhwc", 2],
        ["unpool f32 nhwc", 2],
        ["max_backward f32 nhwc", 2],
    ]);
    assert_eq!(json!(threads), expected);
    assert!(records.iter().all(|record| record["tier"] == "portable"), "{records:?}");
}

/// The built-in layers are those of the one list that the benchmarks read, in every layout and element.
#[test]
fn the_list_of_layers_is_a_file_of_cases() {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/layers.json");
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(list).unwrap()).unwrap();
    let gap = cases.iter().filter(|case| case["kernel"] == "global" && case["shape"] == json!([1, 2048, 7, 7]));
    let gap: Value = gap.cloned().collect();
    assert_eq!(gap[0]["name"], "resnet50_gap7");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("gap.json");
    fs::write(&file, gap.to_string()).unwrap();
    let quick = ["bench", "--rounds", "1", "--tier", "portable"];
    let of_file = lanepool().args(quick).arg("--cases").arg(&file).output().unwrap();
    let built_in = lanepool().args(quick).args(["--only", "gap7/nchw/f32"]).output().unwrap();
    for (run, name) in [(of_file, "resnet50_gap7 "), (built_in, "resnet50_gap7/nchw/f32 ")] {
        let table = stdout(&run);
        let row = table.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {table}"));
        assert!(row.contains("2048x7x7 global") && row.contains("portable") && row.contains("same"), "{row}");
    }
}

#[test]
fn overhead_is_measured_on_each_tier() {
    let quick = ["bench", "--overhead", "--rounds", "1", "--tier", "scalar", "--tier", "portable"];
    let run = lanepool().args(quick).arg("--json").output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let all: Value = serde_json::from_str(&stdout(&run)).unwrap();
    let records = all["calls"].as_array().unwrap();
    assert!(records.chunks(2).all(|pair| pair[0]["tier"] == "scalar" && pair[1]["tier"] == "portable"), "{records:?}");
    for record in records {
        // How long it took is nobody's promise, only that something was timed.
        let is_time = |key: &str| record[key].as_f64().is_some_and(|ns| ns > 0.0);
        let is_smallest = record["name"].as_str().unwrap().contains("1x1x2x2");
        assert!(is_time("plan_ns") && is_time("call_ns") == is_smallest, "{record}");
    }
    // Every layer of the built-in list on each tier, and none whose plan holds more than 64 KB.
    let plans = all["plans"].as_array().unwrap();
    assert!(plans.len() > 200 && plans.len().is_multiple_of(2), "{}", plans.len());
    for plan in plans {
        let bytes = plan["plan_bytes"].as_u64().unwrap();
        assert!((1..=64 << 10).contains(&bytes) && plan["driver"].is_string(), "{plan}");
    }
    let table = stdout(&lanepool().args(quick).output().unwrap());
    assert!(table.contains("max 2x2, 1x1x2x2") && table.contains("chooses one in"), "{table}");
    let run = lanepool().args(["bench", "--overhead", "--only", "gap7"]).output().unwrap();
    assert!(!run.status.success() && stderr(&run).contains("--only"), "{}", stderr(&run));
}

#[test]
fn a_sweep_has_a_point_for_each_size_and_is_drawn() {
    let folder = TempDir::new().unwrap();
    let plot = folder.path().join("sweep.svg");
    let run = lanepool()
        .args(["bench", "--sweep", "--rounds", "1", "--tier", "portable", "--json", "--plot"])
        .arg(&plot)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let points: Vec<Value> = serde_json::from_str(&stdout(&run)).unwrap();
    for (rank, op, element) in [1, 2]
        .into_iter()
        .flat_map(|rank| ["max", "avg"].map(|op| ["f32", "u8"].map(|element| (rank, op, element))))
        .flatten()
    {
        let curve: Vec<_> = points
            .iter()
            .filter(|point| point["rank"] == rank && point["op"] == op && point["element"] == element)
            .collect();
        let longest = if rank == 1 { 15_000 } else { 63 };
        assert_eq!((curve[0]["kernel"].clone(), curve[curve.len() - 1]["kernel"].clone()), (json!(2), json!(longest)));
        assert!(curve.iter().all(|point| point["ns"].as_f64() > Some(0.0) && point["tier"] == "portable"), "{curve:?}");
        // How long each took is the machine's business; that long windows share their work is the driver's, whose
        // instructions `scripts/instructions` counts. Those of more columns than a scratch row holds are folded tap by tap.
        let shared = if rank == 1 { 2047 } else { longest };
        for point in curve.iter().filter(|point| (8..=shared).contains(&point["kernel"].as_u64().unwrap())) {
            assert_eq!(point["driver"], "bands", "{point}");
        }
        let is_time = |point: &Value, key: &str| point[key].as_f64().is_some_and(|time| time > 0.0);
        assert!(curve.iter().all(|point| is_time(point, "direct_ns") && is_time(point, "ratio")), "{curve:?}");
    }
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("k × k") && svg.contains("avg u8"));
}

#[test]
fn layers_can_be_chosen_and_drawn() {
    let folder = TempDir::new().unwrap();
    let plot = folder.path().join("bench.svg");
    let run = lanepool()
        .args([
            "bench",
            "--only",
            "vgg_pool5",
            "--layout",
            "nhwc",
            "--element",
            "f32",
            "--tier",
            "scalar",
            "--tier",
            "portable",
        ])
        .args(["--rounds", "2", "--plot"])
        .arg(&plot)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let table = stdout(&run);
    assert!(table.contains("vgg_pool5_max2s2/nhwc/f32") && !table.contains("nchw"), "{table}");
    assert!(table.contains("512x14x14 2x2/2"), "{table}");
    assert_eq!(table.matches("same").count(), 2, "{table}");
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("vgg_pool5_max2s2/nhwc/f32") && svg.contains("Roofline"));
    assert!(!svg.contains("DIFFERS"));
}

/// With `--drivers`, the record of the plan comes first, and then one of each driver that takes the layer, with the same bits.
#[test]
fn each_driver_is_a_record() {
    let run = lanepool()
        .args(["bench", "--only", "vgg_pool5", "--layout", "nchw", "--element", "f32", "--tier", "portable"])
        .args(["--drivers", "--rounds", "1", "--json"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let records: Vec<Value> = serde_json::from_str(&stdout(&run)).unwrap();
    assert!(records.iter().all(|record| record["same_bits"] == true), "{records:?}");
    let drivers: Vec<_> = records.iter().filter_map(|record| record["driver"].as_str()).collect();
    let (chosen, forced) = drivers.split_first().unwrap();
    assert!(forced.contains(chosen) && forced.contains(&"bands"), "{drivers:?}");
    // Each of them once, in the order in which they are asked.
    let known: Vec<_> = lanepool::drivers().filter(|driver| forced.contains(driver)).collect();
    assert_eq!(forced, known);
}

#[test]
fn each_number_of_threads_is_a_record() {
    let run = lanepool()
        .args(["bench", "--only", "densenet", "--layout", "nchw", "--element", "u8", "--tier", "portable"])
        .args(["--threads", "1", "--threads", "2", "--rounds", "2", "--json"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let records: Vec<Value> = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(records.iter().map(|record| record["threads"].clone()).collect::<Vec<_>>(), [1, 2]);
    assert!(records.iter().all(|record| record["same_bits"] == true));
    for threads in ["0", "-1", "4000"] {
        let run = lanepool().args(["bench", &format!("--threads={threads}")]).output().unwrap();
        assert!(!run.status.success() && stderr(&run).contains("1 to 1024"), "{}", stderr(&run));
    }
}

#[test]
fn bad_cases_are_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cases.json");
    let nothing = folder.path().join("nothing");
    for (text, why) in [
        ("[", "not a JSON list of cases"),
        ("{}", "not a JSON list of cases"),
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, 4]}]"#, "missing field `kernel`"),
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, 4], "kernel": [9]}]"#, "larger than the padded input"),
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, 4], "kernel": [2], "element": "i128"}]"#, "\"i128\""),
        (r#"[{"name": "a", "op": "avg", "shape": [1, 1, 4], "kernel": [2], "element": "i64"}]"#, "no sums or averages"),
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, 4], "kernel": [2], "layout": "hcwn"}]"#, "\"hcwn\""),
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, -4], "kernel": [2]}]"#, "-4"),
        (r#"[{"name": "a", "op": "adaptive_max", "shape": [1, 1, 4]}]"#, "\"a\": missing field `output`"),
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, 4], "kernel": 2, "p": 2}]"#, "has no `p`"),
        (
            r#"[{"name": "a", "op": "max_indices", "shape": [1, 1, 4], "kernel": 2, "index": "f32"}]"#,
            "the index is \"f32\"",
        ),
        (
            r#"[{"name": "a", "op": "avg_backward", "shape": [1, 1, 4], "kernel": 2, "element": "u8"}]"#,
            "\"a\": gradients are of floats",
        ),
        (r#"[{"name": "a", "op": "lp", "shape": [1, 1, 4], "kernel": 2, "element": "u8"}]"#, "\"a\""),
        (r#"[{"name": "a", "op": "quantized_max", "shape": [1, 1, 4], "kernel": 2}]"#, "quantised pooling is of u8"),
    ] {
        fs::write(&file, text).unwrap();
        assert_refused(lanepool().args(["bench", "--cases"]).arg(&file), &file, why, &nothing);
    }
    let absent = folder.path().join("absent.json");
    assert_refused(lanepool().args(["bench", "--cases"]).arg(&absent), &absent, "No such file", &nothing);
}

#[test]
fn choices_that_leave_nothing_are_refused() {
    let run = lanepool().args(["bench", "--only", "no such layer"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains("no layer is left"));
    let missing = lanepool::Tier::ALL
        .into_iter()
        .find(|tier| tier.missing().is_some())
        .expect("NEON and AVX2 exclude each other");
    let run = lanepool().args(["bench", "--only", "vgg_pool5", "--tier", missing.name()]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains(&format!("the tier {missing} cannot run here")), "{}", stderr(&run));
}

#[test]
fn info_lists_every_tier_and_why_one_is_missing() {
    let run = lanepool().arg("info").output().unwrap();
    assert!(run.status.success());
    let text = stdout(&run);
    for tier in lanepool::Tier::ALL {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(tier.name()));
        let line = line.unwrap_or_else(|| panic!("no line for {tier}: {text}"));
        match tier.missing() {
            None => assert!(line.contains("yes"), "{line}"),
            Some(why) => assert!(line.contains("no") && line.contains(why), "{line}"),
        }
    }
    assert_eq!(text.matches("the one that a plan takes").count(), 1);
    assert!(text.contains("LANEPOOL_MAX_TIER is not set"), "{text}");
}

#[test]
fn info_judges_the_cap() {
    let info = |cap: &str| stdout(&lanepool().arg("info").env("LANEPOOL_MAX_TIER", cap).output().unwrap());
    assert!(info("portable").contains("LANEPOOL_MAX_TIER=portable caps the tier: plans take portable."));
    assert!(info("avx3").contains("LANEPOOL_MAX_TIER=\"avx3\" is ignored"));
}
