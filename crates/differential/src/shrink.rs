//! The shortest sequence that still shows a difference.
//!
//! Owns: leaving out steps, elements of arrays and fields as long as the difference stays. Does not own: running (`play`).

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::compare::{Difference, kind_of};
use crate::play::{Found, Stage};
use crate::script::{Script, Step};

/// How long shrinking may take: a difference that waits for time-outs shall not take the whole night.
const TIME_MAX: Duration = Duration::from_secs(15);

/// What makes two differences the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    api: String,
    path: String,
    ours: String,
    kafka: String,
}

impl Kind {
    pub fn of(api: &str, difference: &Difference) -> Kind {
        // Long values are told by how they begin.
        let brief = |value: &Option<Value>| {
            value.as_ref().map_or("absent".to_owned(), |value| value.to_string().chars().take(24).collect())
        };
        let (ours, kafka) = (brief(&difference.ours), brief(&difference.kafka));
        Kind { api: api.to_owned(), path: kind_of(&difference.path), ours, kafka }
    }

    /// The first one of what was found.
    pub fn first_of(found: &Found) -> Kind {
        Kind::of(&found.api, &found.differences[0])
    }
}

/// A script being shrunk.
struct Shrinking<'a> {
    stage: &'a mut Stage,
    kind: Kind,
    best: (Script, Found),
    until: Instant,
}

/// Shrinks; the answer is a script with the difference it shows.
pub fn shrink(stage: &mut Stage, script: &Script, found: &Found) -> Result<(Script, Found), String> {
    let mut first = script.clone();
    first.steps.truncate(found.step + 1);
    let mut shrinking = Shrinking {
        stage,
        kind: Kind::first_of(found),
        best: (first, found.clone()),
        until: Instant::now() + TIME_MAX,
    };
    shrinking.leave_out_steps()?;
    shrinking.leave_out_values()?;
    Ok(shrinking.best)
}

impl Shrinking<'_> {
    /// Takes the script if it still shows the difference.
    fn take(&mut self, script: Script) -> Result<bool, String> {
        if Instant::now() > self.until {
            return Ok(false);
        }
        let Some(found) = self.stage.play(&script)?.found else { return Ok(false) };
        if Kind::first_of(&found) != self.kind {
            return Ok(false);
        }
        self.best = (script, found);
        Ok(true)
    }

    fn leave_out_steps(&mut self) -> Result<(), String> {
        let mut size = self.best.0.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at + size < self.best.0.steps.len() {
                let mut shorter = self.best.0.clone();
                shorter.steps.drain(at..at + size);
                if !self.take(shorter)? {
                    at += size;
                }
            }
            size /= 2;
        }
        Ok(())
    }

    fn leave_out_values(&mut self) -> Result<(), String> {
        let mut at = 0;
        while at < self.best.0.steps.len() {
            let mut place = 0;
            while let Some(smaller) = self.without(at, place) {
                if !self.take(smaller)? {
                    place += 1;
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// The script without the value at this place of the body of step `at`; `None` behind the last place.
    fn without(&self, at: usize, place: usize) -> Option<Script> {
        let mut script = self.best.0.clone();
        let request = script.steps.get_mut(at).and_then(Step::request_mut)?;
        remove(&mut request.body, &mut { place }).then_some(script)
    }
}

/// Removes the value with this number, counted in the order of the text; false if there are fewer.
fn remove(value: &mut Value, place: &mut usize) -> bool {
    match value {
        Value::Array(elements) => {
            for at in 0..elements.len() {
                if *place == 0 {
                    elements.remove(at);
                    return true;
                }
                *place -= 1;
                if remove(&mut elements[at], place) {
                    return true;
                }
            }
        }
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                if *place == 0 {
                    fields.shift_remove(&name);
                    return true;
                }
                *place -= 1;
                if fields.get_mut(&name).is_some_and(|field| remove(field, place)) {
                    return true;
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_is_left_out_once() {
        let body = json!({"a": [1, {"b": 2}], "c": 3});
        let without = |mut place: usize| {
            let mut body = body.clone();
            remove(&mut body, &mut place).then_some(body)
        };
        assert_eq!(without(0), Some(json!({"c": 3})));
        assert_eq!(without(1), Some(json!({"a": [{"b": 2}], "c": 3})));
        assert_eq!(without(2), Some(json!({"a": [1], "c": 3})));
        assert_eq!(without(3), Some(json!({"a": [1, {}], "c": 3})));
        assert_eq!(without(4), Some(json!({"a": [1, {"b": 2}]})));
        assert_eq!(without(5), None);
    }
}
