// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <any>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec {

/// Names of the properties that the library itself sets.
namespace property {
inline constexpr std::string_view kRank = "rank";                 ///< integer, private, sticky; on ranks only
inline constexpr std::string_view kWorldSize = "world_size";      ///< integer, private, sticky; on ranks only
inline constexpr std::string_view kLocalRank = "local_rank";      ///< integer, private, sticky; on ranks only
inline constexpr std::string_view kEventOrigin = "event_origin";  ///< text "local", "parent" or "rank"; during an event
inline constexpr std::string_view kFromRank = "from_rank";        ///< integer; in the parent, during a rank's event
inline constexpr std::string_view kOneWay = "event_one_way";      ///< boolean true; during an event without an answer
}  // namespace property

/// Who may see a property: `public_` ones are meant for peers of the application, `private_` ones stay
/// with this run (its parent and its ranks).
enum class Visibility : std::uint8_t { private_ = 0, public_ = 1 };
/// Whether a property outlives its Context: a sticky one is seen by every Context that the same
/// Engine hands out later.
enum class Lifetime : std::uint8_t { once = 0, sticky = 1 };

/// A property that can cross a process boundary.
struct Property {
    Value value;
    Visibility visibility = Visibility::private_;
    Lifetime lifetime = Lifetime::once;
    friend bool operator==(const Property&, const Property&) = default;
};

using PropertyMap = NameMap<Property>;

/// What handlers set or removed, relative to a known state.
struct RANKEXEC_EXPORT ContextChanges {
    PropertyMap set;
    std::set<std::string, std::less<>> removed;

    [[nodiscard]] bool empty() const noexcept { return set.empty() && removed.empty(); }
    /// Appends later changes: the later one wins for each name.
    void merge(const ContextChanges& later);
    friend bool operator==(const ContextChanges&, const ContextChanges&) = default;
};

/// Sticky properties shared by the contexts of one Engine. Thread-safe.
class StickyProperties;

/// The properties of a run, handed to every handler and task.
///
/// A property is a Value, and then crosses process boundaries, or a local object of any type, which
/// never does. A Context is a handle: copies share the same properties; `clone` makes an independent
/// one. Every member function may be called from any thread.
class RANKEXEC_EXPORT Context {
public:
    /// Without an engine: sticky properties live in this Context and its clones.
    Context();
    /// With `sticky` as the store that sticky properties are read from now and written to later.
    explicit Context(std::shared_ptr<StickyProperties> sticky);

    void set(std::string_view name, Value value, Visibility visibility = Visibility::private_,
             Lifetime lifetime = Lifetime::once);
    /// Keeps an object that stays in this process. Replaces a property of the same name.
    void set_local(std::string_view name, std::any object);
    /// Removes the property here and, if it is sticky, for later contexts.
    void remove(std::string_view name);

    /// The property's value; nothing when there is none or it is a local object.
    [[nodiscard]] std::optional<Value> get(std::string_view name) const;
    /// The value when it is of that kind, otherwise `fallback`.
    [[nodiscard]] std::int64_t integer_or(std::string_view name, std::int64_t fallback) const;
    [[nodiscard]] std::string text_or(std::string_view name, std::string_view fallback) const;
    /// The property with its visibility and lifetime; nothing when there is none or it is local.
    [[nodiscard]] std::optional<Property> property(std::string_view name) const;
    /// The local object; empty when there is none.
    [[nodiscard]] std::any local(std::string_view name) const;

    /// Every property that can cross a process boundary: a snapshot.
    [[nodiscard]] PropertyMap serialisable() const;

    /// A Context as another process has it, with `sticky` as its store: `properties` takes the place of all that can
    /// cross a process boundary, in the store too. `own` names what this process says of itself: it is kept, and not
    /// taken over. No changes are recorded.
    [[nodiscard]] static Context received(std::shared_ptr<StickyProperties> sticky, PropertyMap properties,
                                          std::span<const std::string_view> own);

    /// An independent copy with the same sticky store and no recorded changes.
    [[nodiscard]] Context clone() const;

    /// Changes made through this Context and its copies since it was made, cloned, or last
    /// `forget_changes`d. Local objects never appear.
    [[nodiscard]] ContextChanges changes() const;
    void forget_changes();
    /// Applies changes that came from elsewhere; they count as changes of this Context too.
    void apply(const ContextChanges& changes);
    /// `apply`, and a `clone` of what there is then: what other threads change meanwhile comes before both or after.
    [[nodiscard]] Context clone_with(const ContextChanges& changes);

private:
    struct State;
    explicit Context(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
};

class RANKEXEC_EXPORT StickyProperties {
public:
    StickyProperties();
    ~StickyProperties();
    StickyProperties(const StickyProperties&) = delete;
    StickyProperties& operator=(const StickyProperties&) = delete;

    void set(std::string_view name, Property property);
    void remove(std::string_view name);
    [[nodiscard]] PropertyMap snapshot() const;
    /// Keeps those of `own` and takes over the sticky ones of `properties` in place of all others. Returns those of
    /// `own`.
    PropertyMap replace(const PropertyMap& properties, std::span<const std::string_view> own);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace rankexec
