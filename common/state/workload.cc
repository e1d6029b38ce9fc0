#include "common/state/workload.h"

namespace culvert::state {

std::string NetworkAddress::to_string() const { return network + "/" + ip.to_string(); }

std::string NamespacedHostname::to_string() const { return namespace_ + "/" + hostname; }

}  // namespace culvert::state
