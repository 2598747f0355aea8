//! The importers: one row for each set of attributes, with the output shape and what it gives worked out by hand; every error; and
//! the cases of the golden vectors, which other engines computed.

#[path = "import/golden.rs"]
mod golden;
#[path = "import/onnx.rs"]
mod onnx;
#[path = "import/tflite.rs"]
mod tflite;
#[path = "import/torch.rs"]
mod torch;

use lanepool::{AttributeProblem, Element, Error, Layout, MaxUnpool, Pool, PoolOperation};

fn spatial<O: PoolOperation, T: Element>(pool: &Pool<O, T>, n: &[usize]) -> Vec<usize> {
    let shape = [&[1, 1][..], n].concat();
    pool.output_shape(&shape).unwrap_or_else(|error| panic!("{n:?}: {error}"))[2..].to_vec()
}

/// The numbers from 1 on.
fn ramp(len: usize) -> Vec<f32> {
    (1..=len).map(|i| i as f32).collect()
}

/// What a layer makes of one row of them.
fn row<O: PoolOperation>(pool: &Pool<O, f32>, n: usize) -> Vec<f32> {
    line(pool, &ramp(n))
}

/// What a layer makes of one row.
fn line<O: PoolOperation, T: Element>(pool: &Pool<O, T>, x: &[T]) -> Vec<T> {
    pool.run_once(Layout::Nchw, [1, 1, x.len()], x).unwrap_or_else(|error| panic!("{x:?}: {error}"))
}

/// What an unpooling makes of values and indices.
fn unpooled(unpool: &MaxUnpool<f32>, shape: &[usize], x: &[f32], indices: &[i64]) -> Result<Vec<f32>, Error> {
    let plan = unpool.plan(Layout::Nchw, shape)?;
    let mut y = vec![f32::NAN; plan.output_len()];
    plan.run(x, indices, &mut y)?;
    Ok(y)
}

/// The spatial lengths that an unpooling makes of a plane.
fn unpooled_spatial(unpool: &MaxUnpool<f32>, n: &[usize]) -> Vec<usize> {
    let plan = unpool.plan::<i64>(Layout::Nchw, [&[1, 1][..], n].concat());
    plan.unwrap_or_else(|error| panic!("{n:?}: {error}")).output_shape()[2..].to_vec()
}

/// Checks which error it is, and that its sentence names the attribute and the numbers.
#[track_caller]
fn refused<P>(answer: Result<P, Error>, attribute: &'static str, why: AttributeProblem, parts: &[&str]) {
    let error = answer.err().expect("an error");
    assert_eq!(error, Error::BadAttribute { attribute, why });
    let sentence = error.to_string();
    for part in [&[attribute][..], parts].concat() {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}
