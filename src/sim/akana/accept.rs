//! What an Accept header takes, as far as Akana asks: media ranges with weights, the most specific
//! range deciding. Parameters but `q` are not looked at.

use super::action::{Form, JSON_TYPES, XML_TYPES};
use crate::sim::exchange::Request;

/// The ranges of an Accept header with their weights in thousandths.
pub(super) struct Accept {
    ranges: Vec<(String, u32)>,
}

impl Accept {
    /// Reads the header; without one, anything is taken.
    pub(super) fn read(header: Option<&str>) -> Accept {
        let header = header.unwrap_or("*/*");
        Accept { ranges: header.split(',').filter_map(range).collect() }
    }

    pub(super) fn takes(&self, media_type: &str) -> bool {
        self.weight(media_type) > 0
    }

    pub(super) fn takes_form(&self, form: Form) -> bool {
        self.form_weight(form) > 0
    }

    /// The form of a fault, and of a ticket: the one that is preferred, or else that of the request.
    pub(super) fn fault_form(&self, request: &Request) -> Form {
        let (json, xml) = (self.form_weight(Form::Json), self.form_weight(Form::Xml));
        match xml.cmp(&json) {
            std::cmp::Ordering::Greater => Form::Xml,
            std::cmp::Ordering::Less => Form::Json,
            std::cmp::Ordering::Equal => Form::of(request).unwrap_or(Form::Json),
        }
    }

    fn form_weight(&self, form: Form) -> u32 {
        let types = match form {
            Form::Json => &JSON_TYPES,
            Form::Xml => &XML_TYPES,
        };
        types.iter().map(|media_type| self.weight(media_type)).max().unwrap_or(0)
    }

    fn weight(&self, media_type: &str) -> u32 {
        let group = media_type.split('/').next().unwrap_or(media_type);
        let group = format!("{group}/*");
        [media_type, group.as_str(), "*/*"]
            .into_iter()
            .find_map(|wanted| self.ranges.iter().find(|(range, _)| range == wanted))
            .map_or(0, |(_, weight)| *weight)
    }
}

fn range(text: &str) -> Option<(String, u32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?.to_ascii_lowercase();
    let weight = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("q"))
        .map_or(Some(1.0), |(_, value)| value.parse::<f64>().ok())?;
    Some((range, thousandths(weight)))
}

fn thousandths(weight: f64) -> u32 {
    // A cast from a float saturates, so a weight out of range ends up at an end of it.
    (weight.clamp(0.0, 1.0) * 1_000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides() {
        for (header, takes) in [
            ("*/*", true),
            ("text/*", true),
            ("text/plain", true),
            ("application/json, text/plain;q=0.1", true),
            ("TEXT/Plain; charset=utf-8", true),
            ("application/json", false),
            ("text/html", false),
            ("text/plain;q=0, */*", false),
            ("*/*;q=0.0", false),
            ("nonsense", false),
        ] {
            assert_eq!(Accept::read(Some(header)).takes("text/plain"), takes, "{header}");
        }
        assert!(Accept::read(None).takes("text/plain"));
    }
}
