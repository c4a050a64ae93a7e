//! What a sensor's `check_fn` is told of the objects found: the attributes that `metadata_keys` names, in boto3's words.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::Object;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use chrono::{TimeZone, Utc};
use serde_json::{Map, Value, json};

/// The attributes of one object.
pub(super) type FileMetadata = Map<String, Value>;

/// Which attributes are wanted.
#[derive(Debug, Clone)]
pub(super) struct MetadataKeys(Vec<String>);

impl MetadataKeys {
    /// Checks the names.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn new(names: Vec<String>) -> Result<Self, String> {
        if names.iter().any(String::is_empty) {
            return Err("metadata_keys has an empty name".to_owned());
        }
        Ok(Self(names))
    }

    /// From HeadObject alone. As in Airflow it knows no `Key`, so that is null.
    pub(super) fn of_head(&self, head: &HeadObjectOutput) -> FileMetadata {
        let head = head_attributes(head);
        if self.all() {
            return head;
        }
        let attribute = |name: &String| {
            let there = if name == "Size" { "ContentLength" } else { name };
            (name.clone(), head.get(there).cloned().unwrap_or_default())
        };
        self.0.iter().map(attribute).collect()
    }

    /// From a listing; `None` if that does not say enough, and HeadObject is to be asked too.
    pub(super) fn of_listed(&self, object: &Object) -> Option<FileMetadata> {
        let listed = listed_attributes(object);
        self.0.iter().map(|name| Some((name.clone(), listed.get(name)?.clone()))).collect()
    }

    /// From a listing, with what that does not say from HeadObject.
    pub(super) fn of_both(&self, object: &Object, head: &HeadObjectOutput) -> FileMetadata {
        let head = head_attributes(head);
        if self.all() {
            return head;
        }
        let listed = listed_attributes(object);
        let attribute = |name: &String| {
            let value = listed.get(name).or_else(|| head.get(name)).cloned().unwrap_or_default();
            (name.clone(), value)
        };
        self.0.iter().map(attribute).collect()
    }

    fn all(&self) -> bool {
        self.0.iter().any(|name| name == "*")
    }
}

/// Those that have a value, as in boto3.
fn known(attributes: Value) -> FileMetadata {
    let Value::Object(attributes) = attributes else { return Map::new() };
    attributes.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// In a form that every Python reads.
fn date(at: Option<&DateTime>) -> Option<String> {
    let at = Utc.timestamp_opt(at?.secs(), at?.subsec_nanos()).single()?;
    Some(at.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string())
}

fn listed_attributes(object: &Object) -> FileMetadata {
    let algorithms: Vec<_> = object.checksum_algorithm().iter().map(|algorithm| algorithm.as_str()).collect();
    known(json!({
        "Key": object.key(),
        "LastModified": date(object.last_modified()),
        "ETag": object.e_tag(),
        "ChecksumAlgorithm": (!algorithms.is_empty()).then_some(algorithms),
        "ChecksumType": object.checksum_type().map(|kind| kind.as_str()),
        "Size": object.size(),
        "StorageClass": object.storage_class().map(|class| class.as_str()),
    }))
}

fn head_attributes(head: &HeadObjectOutput) -> FileMetadata {
    let expires = head.expires_string().and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
    known(json!({
        "AcceptRanges": head.accept_ranges(),
        "ArchiveStatus": head.archive_status().map(|status| status.as_str()),
        "BucketKeyEnabled": head.bucket_key_enabled(),
        "CacheControl": head.cache_control(),
        "ChecksumCRC32": head.checksum_crc32(),
        "ChecksumCRC32C": head.checksum_crc32_c(),
        "ChecksumCRC64NVME": head.checksum_crc64_nvme(),
        "ChecksumSHA1": head.checksum_sha1(),
        "ChecksumSHA256": head.checksum_sha256(),
        "ChecksumType": head.checksum_type().map(|kind| kind.as_str()),
        "ContentDisposition": head.content_disposition(),
        "ContentEncoding": head.content_encoding(),
        "ContentLanguage": head.content_language(),
        "ContentLength": head.content_length(),
        "ContentType": head.content_type(),
        "DeleteMarker": head.delete_marker(),
        "ETag": head.e_tag(),
        "Expiration": head.expiration(),
        "Expires": date(expires.as_ref()),
        "ExpiresString": head.expires_string(),
        "LastModified": date(head.last_modified()),
        "Metadata": head.metadata(),
        "MissingMeta": head.missing_meta(),
        "ObjectLockLegalHoldStatus": head.object_lock_legal_hold_status().map(|status| status.as_str()),
        "ObjectLockMode": head.object_lock_mode().map(|mode| mode.as_str()),
        "ObjectLockRetainUntilDate": date(head.object_lock_retain_until_date()),
        "PartsCount": head.parts_count(),
        "ReplicationStatus": head.replication_status().map(|status| status.as_str()),
        "RequestCharged": head.request_charged().map(|charged| charged.as_str()),
        "Restore": head.restore(),
        "SSECustomerAlgorithm": head.sse_customer_algorithm(),
        "SSECustomerKeyMD5": head.sse_customer_key_md5(),
        "SSEKMSKeyId": head.ssekms_key_id(),
        "ServerSideEncryption": head.server_side_encryption().map(|kind| kind.as_str()),
        "StorageClass": head.storage_class().map(|class| class.as_str()),
        "TagCount": head.tag_count(),
        "VersionId": head.version_id(),
        "WebsiteRedirectLocation": head.website_redirect_location(),
    }))
}
