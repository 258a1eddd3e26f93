//! All mappings of a folder, with the vocabulary that they share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::{self, Diagnostic, Location, Severity, SourceFile};
use crate::mapping::check::{
    check_catalog, check_clients, check_mapping, check_tables, unverified,
};
use crate::mapping::compile::{TableOverride, compile, compile_vocabulary};
use crate::mapping::model::{Mapping, Vocabulary};
use crate::mapping::syntax::{Example, File, Findings};

/// The file that holds the vocabulary.
const VOCABULARY: &str = "vocabulary.yaml";

/// The shipped mappings, so that the program runs where no folder is.
const SHIPPED: [(&str, &str); 6] = [
    ("mappings/vocabulary.yaml", include_str!("../mappings/vocabulary.yaml")),
    ("mappings/akana.yaml", include_str!("../mappings/akana.yaml")),
    ("mappings/arena.yaml", include_str!("../mappings/arena.yaml")),
    ("mappings/series.yaml", include_str!("../mappings/series.yaml")),
    ("mappings/thalamus.yaml", include_str!("../mappings/thalamus.yaml")),
    ("mappings/zstack.yaml", include_str!("../mappings/zstack.yaml")),
];

/// All mappings, compiled.
#[derive(Debug)]
pub struct Catalog {
    /// The vocabulary.
    pub vocabulary: Arc<Vocabulary>,
    /// The mappings by name of their file: all, or those that were asked for.
    pub mappings: Vec<Arc<Mapping>>,
    /// The vendors of all files.
    pub vendors: Vec<String>,
    /// As they are written, in the order of `mappings`.
    files: Vec<File>,
}

/// Why there is no catalog.
#[derive(Debug)]
pub enum LoadError {
    /// A file or folder that cannot be read.
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Errors in the files, warnings among them.
    Findings(Vec<Diagnostic>),
}

impl Catalog {
    /// Reads a folder: `vocabulary.yaml` and one file per vendor. Gives warnings besides.
    ///
    /// # Errors
    /// If a file cannot be read, or anything in one is wrong.
    pub fn load(folder: &Path) -> Result<(Self, Vec<Diagnostic>), LoadError> {
        Self::load_those(folder, |_| true)
    }

    /// The same, but only mappings of these vendors are kept. The others are checked all the same, one after the
    /// other: a gateway has no memory for what it never runs.
    ///
    /// # Errors
    /// If a file cannot be read, or anything in one is wrong.
    pub fn load_those(
        folder: &Path,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Self, Vec<Diagnostic>), LoadError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| LoadError::Unreadable { path, source }
        };
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .map_err(unreadable(folder))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect();
        paths.sort();
        let vocabulary = folder.join(VOCABULARY);
        if !paths.contains(&vocabulary) {
            let source = io::Error::new(io::ErrorKind::NotFound, "the folder has no vocabulary");
            return Err(LoadError::Unreadable { path: vocabulary, source });
        }
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
            Ok(SourceFile::new(path.display().to_string(), text))
        };
        let mut compiling = Compiling::new(&read(&vocabulary)?).map_err(LoadError::Findings)?;
        for path in paths.iter().filter(|path| **path != vocabulary) {
            compiling.add(&read(path)?, &wanted);
        }
        compiling.finish().map_err(LoadError::Findings)
    }

    /// The mappings that the program carries in itself.
    ///
    /// # Panics
    /// Never: a test loads them.
    pub fn shipped() -> Self {
        let sources: Vec<Arc<SourceFile>> =
            SHIPPED.iter().map(|(name, text)| SourceFile::new(*name, *text)).collect();
        Self::of_sources(&sources).expect("the shipped mappings load, as a test has shown").0
    }

    /// Compiles files that were read.
    ///
    /// # Errors
    /// Everything that was found, if an error is among it.
    pub fn of_sources(
        sources: &[Arc<SourceFile>],
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let is_vocabulary =
            |source: &&Arc<SourceFile>| Path::new(&source.name).ends_with(VOCABULARY);
        let Some(source) = sources.iter().find(is_vocabulary) else { return Err(Vec::new()) };
        let mut compiling = Compiling::new(source)?;
        for source in sources.iter().filter(|source| !is_vocabulary(source)) {
            compiling.add(source, |_| true);
        }
        compiling.finish()
    }

    /// What no vendor's page attests: M104.
    pub fn unverified(&self) -> Vec<Diagnostic> {
        self.mappings.iter().flat_map(|mapping| unverified(mapping)).collect()
    }

    /// What gets lost between any two vendors: M102, M103.
    pub fn losses(&self) -> Vec<Diagnostic> {
        check_catalog(&self.vocabulary, &self.mappings)
    }

    /// What gets lost between an upstream and the clients in front of it.
    pub fn losses_between(&self, clients: &[&Mapping], upstream: &Mapping) -> Vec<Diagnostic> {
        check_clients(&self.vocabulary, clients, upstream)
    }

    /// The mapping of a vendor.
    pub fn mapping(&self, vendor: &str) -> Option<&Arc<Mapping>> {
        self.mappings.iter().find(|mapping| mapping.vendor == vendor)
    }

    /// The examples in a mapping's file.
    pub fn examples(&self, mapping: &Mapping) -> &[Example] {
        &self.file(mapping).examples
    }

    /// The file of one of its mappings.
    fn file(&self, mapping: &Mapping) -> &File {
        let at = self.mappings.iter().position(|one| one.vendor == mapping.vendor);
        &self.files[at.expect("the mapping is one of the catalog's")]
    }

    /// A vendor's mapping with tables of the configuration in place of its own, and warnings of them.
    /// `parsed` is what was found while these tables were read.
    ///
    /// # Errors
    /// Everything that is wrong with those tables.
    pub fn with_tables(
        &self,
        mapping: &Arc<Mapping>,
        tables: &[TableOverride],
        parsed: Vec<Diagnostic>,
    ) -> Result<(Arc<Mapping>, Vec<Diagnostic>), Vec<Diagnostic>> {
        if tables.is_empty() {
            return Ok((Arc::clone(mapping), parsed));
        }
        let (replaced, mut found) = compile(&self.vocabulary, self.file(mapping), tables);
        found.extend(parsed);
        found.append(&mut check_tables(&self.vocabulary, &replaced, &found));
        // The mapping's own lines were warned of when the catalog was loaded.
        let is_new = |finding: &Diagnostic| {
            finding.severity == Severity::Error
                || tables.iter().any(|table| table.source == finding.at.file)
        };
        found.retain(is_new);
        if diag::has_errors(&found) { Err(found) } else { Ok((Arc::new(replaced), found)) }
    }
}

/// A catalog whose files come one by one.
struct Compiling {
    catalog: Catalog,
    /// Where each file names its vendor.
    named: Vec<Location>,
    found: Vec<Diagnostic>,
}

impl Compiling {
    fn new(vocabulary: &Arc<SourceFile>) -> Result<Self, Vec<Diagnostic>> {
        let vocabulary = Arc::new(compile_vocabulary(vocabulary)?);
        let catalog =
            Catalog { vocabulary, mappings: Vec::new(), vendors: Vec::new(), files: Vec::new() };
        Ok(Self { catalog, named: Vec::new(), found: Vec::new() })
    }

    fn add(&mut self, source: &Arc<SourceFile>, wanted: impl Fn(&str) -> bool) {
        let mut findings = Findings::new(source);
        let Some(file) = File::parse(source, &mut findings) else {
            self.found.append(&mut findings.list);
            return;
        };
        let (mapping, mut list) = compile(&self.catalog.vocabulary, &file, &[]);
        // What was found while parsing counts as well: it may be why something is missing.
        list.append(&mut findings.list);
        let mut checked = check_mapping(&self.catalog.vocabulary, &mapping, &file.examples, &list);
        self.found.append(&mut list);
        self.found.append(&mut checked);
        let at = Location { file: Arc::clone(source), span: file.vendor.span };
        let mut vendors = self.catalog.vendors.iter();
        if let Some(first) = vendors.position(|vendor| *vendor == mapping.vendor) {
            let second = second_file(&mapping.vendor, at.clone(), self.named[first].clone());
            self.found.push(second);
        }
        self.named.push(at);
        self.catalog.vendors.push(mapping.vendor.clone());
        if wanted(&mapping.vendor) {
            self.catalog.mappings.push(Arc::new(mapping));
            self.catalog.files.push(file);
        }
    }

    fn finish(mut self) -> Result<(Catalog, Vec<Diagnostic>), Vec<Diagnostic>> {
        diag::sort(&mut self.found);
        if diag::has_errors(&self.found) {
            return Err(self.found);
        }
        Ok((self.catalog, self.found))
    }
}

/// M020.
fn second_file(vendor: &str, second: Location, first: Location) -> Diagnostic {
    Diagnostic::error("M020", second, format!("a second file for the vendor `{vendor}`"))
        .label("one vendor has one file")
        .also(first, "the first one")
}
