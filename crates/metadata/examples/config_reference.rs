//! Prints the pages of the configuration reference: a line `file NAME`, a line with the length in bytes, the bytes.
//!
//! Owns: the form in which `cargo xtask docs` receives the pages. Does not own: the pages, the files.

use ottla_metadata::config::reference_pages;

fn main() {
    for page in reference_pages() {
        print!("file {}\n{}\n{}", page.file_name, page.text.len(), page.text);
    }
}
