#include "common/state/policy.h"

namespace culvert::state {

bool PolicyMatch::empty() const {
  return namespaces.empty() && not_namespaces.empty() && principals.empty() &&
         not_principals.empty() && service_accounts.empty() && not_service_accounts.empty() &&
         source_ips.empty() && not_source_ips.empty() && destination_ips.empty() &&
         not_destination_ips.empty() && destination_ports.empty() && not_destination_ports.empty();
}

}  // namespace culvert::state
