//! What a check found.

use std::fmt::Write as _;

use ctr_userns::remedy::Remedy;
use serde::Serialize;
use serde_json::{Value, json};

/// How things stand with one prerequisite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// As it should be.
    Good,
    /// It works, but something is lost.
    Degraded,
    /// Containers cannot run without it.
    Missing,
}

/// One prerequisite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// Its name, for scripts.
    pub(crate) id: &'static str,
    /// How things stand.
    pub(crate) standing: Standing,
    /// What was found.
    pub(crate) found: String,
    /// What is lost, where something is.
    pub(crate) cost: Option<&'static str>,
    /// What mends it, in order.
    pub(crate) remedies: Vec<Remedy>,
}

impl Check {
    /// All is well.
    pub(crate) fn good(id: &'static str, found: impl Into<String>) -> Self {
        Self { id, standing: Standing::Good, found: found.into(), cost: None, remedies: Vec::new() }
    }

    /// Nothing runs without it.
    pub(crate) fn missing(id: &'static str, found: impl Into<String>) -> Self {
        Self { standing: Standing::Missing, ..Self::good(id, found) }
    }

    /// It costs something.
    pub(crate) fn degraded(id: &'static str, found: impl Into<String>, cost: &'static str) -> Self {
        Self { standing: Standing::Degraded, cost: Some(cost), ..Self::good(id, found) }
    }

    /// The same with what mends it.
    pub(crate) fn mended_by(mut self, remedy: impl Into<Option<Remedy>>) -> Self {
        self.remedies.extend(remedy.into());
        self
    }

    fn json(&self) -> Value {
        let remedies: Vec<String> = self.remedies.iter().map(ToString::to_string).collect();
        json!({ "id": self.id, "status": self.standing, "found": self.found, "cost": self.cost, "remedies": remedies })
    }
}

/// Leaves each remedy where it is named first: two checks may trip over one stone.
pub(crate) fn without_repetition(mut checks: Vec<Check>) -> Vec<Check> {
    let mut seen: Vec<Remedy> = Vec::new();
    for check in &mut checks {
        check.remedies.retain(|remedy| !seen.contains(remedy));
        seen.extend(check.remedies.iter().cloned());
    }
    checks
}

/// The worst of all.
pub(crate) fn worst(checks: &[Check]) -> Standing {
    checks.iter().map(|check| check.standing).max().unwrap_or(Standing::Good)
}

/// All checks as JSON.
pub(crate) fn json(checks: &[Check]) -> Value {
    Value::Array(checks.iter().map(Check::json).collect())
}

/// All checks as a person reads them: one line each, and below what is amiss its cost and its remedies.
pub(crate) fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let mark = match check.standing {
            Standing::Good => "ok     ",
            Standing::Degraded => "degraded",
            Standing::Missing => "MISSING",
        };
        let mut line = |args: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let written = writeln!(text, "{args}");
            debug_assert!(written.is_ok());
        };
        line(format_args!("{mark:<8}  {:<width$}  {}", check.id, check.found));
        let indent = width + 12;
        if let Some(cost) = check.cost {
            line(format_args!("{:indent$}without it: {cost}", ""));
        }
        for remedy in &check.remedies {
            line(format_args!("{:indent$}fix: {remedy}", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Remedy {
        Remedy::root(["usermod", "anna"])
    }

    #[test]
    fn a_remedy_is_named_once() {
        let checks = vec![
            Check::missing("ids", "none").mended_by(grant()),
            Check::missing("namespaces", "no ids").mended_by(grant()),
        ];
        let checks = without_repetition(checks);
        assert_eq!(checks[0].remedies, [grant()]);
        assert_eq!(checks[1].remedies, []);
        assert_eq!(worst(&checks), Standing::Missing);
        assert_eq!(worst(&[Check::good("a", "b")]), Standing::Good);
    }

    #[test]
    fn what_is_amiss_has_its_cost_and_its_remedy_below() {
        let checks = [
            Check::good("ids", "65,537 of each"),
            Check::degraded("linger", "off", "containers end at logout").mended_by(grant()),
        ];
        assert_eq!(
            text(&checks),
            "ok        ids     65,537 of each\n\
             degraded  linger  off\n                  \
             without it: containers end at logout\n                  \
             fix: sudo usermod anna\n"
        );
        assert_eq!(
            json(&checks[1..]).to_string(),
            r#"[{"id":"linger","status":"degraded","found":"off","cost":"containers end at logout","remedies":["sudo usermod anna"]}]"#
        );
    }
}
