//! The day's file: rows that show whether quotes, commas, spaces, letter case and letters beyond ASCII survive.

use anyhow::{Context as _, Result};

const NAMES: [&str; 5] = ["Saw", "Hammer, 2 kg", "Pipe 3/4\"", " Schraubenschlüssel ", "Pince \"L'Étoile\", rouge"];
const CATEGORIES: [&str; 4] = ["Garden", "TOOLS", "Plumbing & Co", "kitchen"];

/// A product as it stands in the file.
struct Product {
    id: u32,
    name: String,
    category: &'static str,
    cents: u64,
    quantity: u64,
}

impl Product {
    /// The `number`-th product, always the same.
    fn new(number: u32) -> Self {
        let turn = number as usize;
        Self {
            id: number + 1,
            name: format!("{}{}", NAMES[turn % NAMES.len()], number),
            category: CATEGORIES[turn / 3 % CATEGORIES.len()],
            cents: u64::from(number) * 7_919 % 99_999 + 1,
            quantity: u64::from(number) * 31 % 500,
        }
    }

    /// Day of the month and time of its last change.
    fn changed(&self) -> (u32, String) {
        (self.id % 28 + 1, format!("{:02}:{:02}:00", self.id % 24, self.id % 60))
    }
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The file's content.
pub(super) fn csv(rows: u32) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["product_id", "name", "category", "price", "quantity", "updated_at"])?;
    for product in (0..rows).map(Product::new) {
        let (day, time) = product.changed();
        writer.write_record([
            product.id.to_string(),
            product.name,
            product.category.to_owned(),
            money(product.cents),
            product.quantity.to_string(),
            format!("2026-01-{day:02}T{time}"),
        ])?;
    }
    writer.into_inner().map_err(|error| error.into_error()).context("the day's file cannot be made")
}

/// The columns of the curated table that follow from the file, as the table shows them in the order of their ids.
pub(super) fn curated(rows: u32) -> impl Iterator<Item = Vec<String>> {
    (0..rows).map(Product::new).map(|product| {
        let (day, time) = product.changed();
        vec![
            product.id.to_string(),
            product.name.trim().to_owned(),
            product.category.to_lowercase(),
            money(product.cents),
            product.quantity.to_string(),
            money(product.cents * product.quantity),
            format!("2026-01-{day:02} {time}"),
        ]
    })
}
