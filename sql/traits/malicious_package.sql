-- One row per running image × malicious package in it: Amazon Inspector reports them with ids of their own (MAL-…).
select
    image.resource_id, image.account_id, image.region,
    {
        'repository': image.repository_name, 'image_digest': image.image_digest, 'package': package.package_name,
        'version': package.installed_version, 'file': package.package_file_path, 'vulnerability': package.vulnerability_id
    } as evidence
from resources.package_vulnerability as package
join resources.image_report as row using (report_number)
join resources.image as digest using (image_id)
join resources.service_image as image
    on image.registry_account = digest.registry_account
    and image.registry_region = digest.region
    and image.repository_name = digest.repository_name
    and image.image_digest = digest.image_digest
where package.is_malicious_package and not package.is_suppressed
group by all
