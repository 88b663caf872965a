-- One row per change a team can make × service × trait that it takes its part of away (trait NULL: only vulnerabilities go).
-- A trait is gone once every change that holds a part of it is made: of two open groups, closing one leaves the other open.
with exposed as (
    select service.resource_id, service.account_id, service.region
    from exposures.service_situation as situation
    join resources.service as service on service.resource_id = situation.resource_id
),
-- A definition's own traits end with one new revision of its family.
definition as (
    select distinct service.resource_id, 'task_definition' as kind, service.account_id, service.region, definition.family as name, hit.trait
    from exposed as service
    join resources.task_definition_in_force as definition on definition.resource_id = service.resource_id and definition.family is not null
    join traits.all as hit on hit.resource_id = service.resource_id and hit.state = 'hit'
    where hit.trait in (
        'task_definition_privileged', 'root_filesystem_access', 'container_runtime_socket_mounted', 'host_process_namespace',
        'host_network_mode', 'host_ipc_namespace', 'dangerous_linux_capability', 'writable_root_filesystem', 'container_runs_as_root',
        'cleartext_credentials')
),
role as (
    select service.resource_id, 'role' as kind, split_part(role.role_arn, ':', 5) as account_id, 'global' as region, role.role_arn as name, role.trait
    from exposed as service
    join (
        select resource_id, role_arn, 'administrative_access_policy' as trait from resources.service_role
        where source = 'task_role' and is_administrator
        union
        select resource_id, role_arn, 'service_administrative_policy' from resources.service_role
        where source = 'task_role' and len(service_wildcards) > 0
        union
        select resource_id, role_arn, trait from resources.service_path
    ) as role on role.resource_id = service.resource_id
),
security_group as (
    select distinct service.resource_id, 'security_group' as kind, service.account_id, service.region, hit.evidence.security_group as name,
        'open_security_group' as trait
    from exposed as service
    join traits.open_security_group as hit on hit.resource_id = service.resource_id
),
-- Addresses of instances and subnets are no setting of the service.
setting as (
    select distinct service.resource_id, 'service' as kind, service.account_id, service.region, service.resource_id as name, hit.trait
    from exposed as service
    join (
        select resource_id, 'public_ip' as trait from traits.public_ip where evidence."on" = 'settings'
        union
        select resource_id, 'execute_command_enabled' from traits.execute_command_enabled
    ) as hit on hit.resource_id = service.resource_id
),
image as (
    select distinct
        service.resource_id, 'image' as kind, image.registry_account as account_id, image.registry_region as region,
        image.repository_name as name, given.trait
    from exposed as service
    join resources.service_image as image on image.resource_id = service.resource_id and image.repository_name is not null
    left join exposures.image_given_trait as given on given.resource_id = service.resource_id and given.image_digest = image.image_digest
    where image.scan_status = 'scanned' or given.trait is not null
)
from definition
union all from role
union all from security_group
union all from setting
union all from image
