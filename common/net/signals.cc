#include "common/net/signals.h"

#include <sys/signalfd.h>

#include <cerrno>
#include <system_error>

namespace culvert::net {

Signals::Signals(Reactor& reactor, std::initializer_list<int> signals,
                 UniqueFunction<void(int)> on_signal)
    : reactor_(reactor), on_signal_(std::move(on_signal)) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  fd_ = Fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd_ || !reactor_.add(fd_.get(), EPOLLIN, *this))
    throw std::system_error(errno, std::system_category(), "cannot receive signals");
}

Signals::~Signals() { reactor_.remove(fd_.get(), *this); }

void Signals::on_events(uint32_t /*events*/) {
  signalfd_siginfo info;
  while (::read(fd_.get(), &info, sizeof info) == sizeof info)
    on_signal_(static_cast<int>(info.ssi_signo));
}

}  // namespace culvert::net
