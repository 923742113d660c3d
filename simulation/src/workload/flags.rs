//! Feature flags: set, disabled, deleted.

use std::sync::Arc;

use platform_core::flags::{Flag, FlagKey};
use platform_core::kernel::{BoxFuture, Error, Result};

use super::{Call, Op, Scene, close};
use crate::random::Random;
use crate::register::Register;

/// Flags of a run.
pub const FLAGS: usize = 4;
const VARIANTS: [&str; 3] = ["red", "green", "blue"];

/// What a flag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagValue {
    /// Not there.
    Absent,
    /// It gives this variant.
    Gives(&'static str),
    /// It is disabled.
    Disabled,
}

/// All flags.
#[derive(Debug)]
pub struct Flags {
    /// What each is.
    pub values: [Register<FlagValue>; FLAGS],
}

impl Default for Flags {
    fn default() -> Flags {
        Flags { values: [(); FLAGS].map(|()| Register::new(FlagValue::Absent)) }
    }
}

/// The key of a flag.
///
/// # Errors
/// None for these.
pub fn flag_key(flag: usize) -> Result<FlagKey> {
    format!("flag{flag}").parse()
}

/// What a flag shows itself to be.
pub fn shown(flag: &Flag) -> FlagValue {
    let text = |name: &str| flag.definition.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    match text("state") {
        "DISABLED" => FlagValue::Disabled,
        _ => VARIANTS
            .into_iter()
            .find(|variant| *variant == text("defaultVariant"))
            .map_or(FlagValue::Absent, FlagValue::Gives),
    }
}

/// Chooses a command.
pub fn plan(random: &mut Random) -> Arc<dyn Op> {
    let flag = random.below(FLAGS as u64) as usize;
    let value = match random.below(100) {
        0..70 => FlagValue::Gives(random.pick(&VARIANTS).copied().unwrap_or("red")),
        70..88 => FlagValue::Disabled,
        _ => FlagValue::Absent,
    };
    Arc::new(SetFlag { flag, value })
}

/// A change of a flag.
#[derive(Debug, Clone)]
struct SetFlag {
    flag: usize,
    value: FlagValue,
}

impl Op for SetFlag {
    fn run<'a>(&'a self, scene: &'a Scene, call: &'a Call) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let key = flag_key(self.flag)?;
            let begun = scene.model.lock().flags.values.get_mut(self.flag).map(|flag| flag.begin(self.value));
            let ticket =
                begun.ok_or_else(|| Error::precondition("simulation.nothing_to_do", "no such flag"))?;
            let flags = scene.platform.flags();
            let result = match self.value {
                FlagValue::Gives(variant) => {
                    let definition = serde_json::json!({
                        "state": "ENABLED", "defaultVariant": variant,
                        "variants": {"red": "r", "green": "g", "blue": "b"},
                    });
                    flags.put(&call.ctx, &key, None, &definition).await.map(|flag| flag.revision)
                }
                FlagValue::Disabled => flags.kill(&call.ctx, &key, None).await.map(|flag| flag.revision),
                FlagValue::Absent => flags.delete(&call.ctx, &key, None).await.map(|()| 0),
            };
            if let Some(flag) = scene.model.lock().flags.values.get_mut(self.flag) {
                close(flag, ticket, &result, call);
            }
            result.map(|revision| revision.to_string())
        })
    }

    fn takes_key(&self) -> bool {
        true
    }
}
