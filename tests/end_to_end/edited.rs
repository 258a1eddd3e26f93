//! The shipped mappings with something changed, such as times that no test could wait for.

use std::path::Path;

/// A folder with a copy of them.
pub(crate) struct Edited(tempfile::TempDir);

impl Edited {
    /// A copy in which a vendor's file has other text in a place, once for each: the vendor, what stands there, and
    /// what stands there then.
    pub(crate) fn new(edits: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
        for file in std::fs::read_dir(shipped).unwrap() {
            let file = file.unwrap().path();
            let mut text = std::fs::read_to_string(&file).unwrap();
            for (vendor, from, to) in edits {
                if file.file_stem().unwrap() == *vendor {
                    assert!(text.contains(from), "{vendor} has no {from}");
                    text = text.replacen(from, to, 1);
                }
            }
            std::fs::write(folder.path().join(file.file_name().unwrap()), text).unwrap();
        }
        Self(folder)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}
