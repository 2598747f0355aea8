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
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, 4], "kernel": [2], "layout": "hcwn"}]"#, "\"hcwn\""),
        (r#"[{"name": "a", "op": "max", "shape": [1, 1, -4], "kernel": [2]}]"#, "-4"),
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
