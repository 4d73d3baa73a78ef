#include "model/machine/encryption.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace sluice::model {
namespace {

TEST(Encryption, AReaderWithTheKeyGetsTheToken) {
  Rng rng(7);
  for (int i = 0; i < 10000; ++i) {
    const MemoryKey key{rng.next() | 1};
    const Pfn pfn{rng.next() & 0xfffffff};
    const std::uint64_t token = rng.next();
    EXPECT_EQ(decrypt(encrypt(token, key, pfn), key, pfn), token);
    EXPECT_NE(encrypt(token, key, pfn), token);
  }
}

TEST(Encryption, EverybodyElseGetsSomethingElse) {
  const MemoryKey mine{std::uint64_t{1} << 32 | 1}, next{std::uint64_t{1} << 32 | 2};
  const Pfn pfn{0x205};
  const std::uint64_t bytes = encrypt(7, mine, pfn);
  EXPECT_NE(decrypt(bytes, {}, pfn), 7u) << "the host";
  EXPECT_NE(decrypt(bytes, next, pfn), 7u) << "the ASID's next guest";
  EXPECT_NE(decrypt(bytes, mine, pfn + PageCount{1}), 7u) << "its guest, at another address";
  EXPECT_NE(decrypt(7, mine, pfn), 7u) << "its guest, where the host wrote";
}

TEST(Encryption, WithoutAKeyBytesAreTheToken) {
  EXPECT_EQ(encrypt(7, {}, Pfn{0x205}), 7u);
  EXPECT_EQ(decrypt(7, {}, Pfn{0x205}), 7u);
}

}  // namespace
}  // namespace sluice::model
