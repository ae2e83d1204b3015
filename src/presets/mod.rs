//! The pipelines that ship with feedmill: names and texts, nothing else. The engine knows none of them.

/// A shipped pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name, as `feedmill init --preset` takes it.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// The pipeline file.
    pub text: &'static str,
}

/// All shipped pipelines.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "transactions",
        about: "Daily sales of one client: cleaned, joined with two lookups and aggregated.",
        text: include_str!("transactions.toml"),
    },
    Preset {
        name: "orders",
        about: "Orders by their id: validated, de-duplicated and loaded row by row.",
        text: include_str!("orders.toml"),
    },
    Preset {
        name: "sales",
        about: "Sales of a retailer: exact revenue by segment and month, by product, by store and day.",
        text: include_str!("sales.toml"),
    },
    Preset {
        name: "spendsense",
        about: "People's accounts and transactions: what they subscribe to, save, owe and earn, and their persona.",
        text: include_str!("spendsense.toml"),
    },
];

/// The shipped pipeline of that name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
