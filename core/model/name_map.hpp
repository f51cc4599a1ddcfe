// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rankexec {

/// A map from names to values, iterated in the order of the names, used like
/// `std::map<std::string, T, std::less<>>`: references and pointers to entries stay valid until their
/// entry is erased, so `map["a"] = map["b"]` is sound.
///
/// Entries lie in a few blocks of memory instead of one for each: maps of headers and properties are made
/// and destroyed with every message, and a heap block for each entry costs several times what reading it does.
/// Iterators are random access and become invalid with every insertion and erasure. A name that comes after
/// all others is added in constant time, another one moves a pointer for each name behind it.
///
/// `T` may be incomplete where a `NameMap<T>` is declared as a member. Distinct objects may be used from distinct
/// threads.
template <typename T>
class NameMap {
public:
    using key_type = std::string;
    using mapped_type = T;
    using value_type = std::pair<const std::string, T>;
    using size_type = std::size_t;

private:
    template <typename Entry>
    class Iterator {
    public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = NameMap::value_type;
        using difference_type = std::ptrdiff_t;
        using pointer = Entry*;
        using reference = Entry&;

        Iterator() = default;
        explicit Iterator(value_type* const* place) : place_(place) {}
        /// A constant iterator from another one.
        operator Iterator<const NameMap::value_type>() const requires(!std::is_const_v<Entry>) {
            return Iterator<const NameMap::value_type>(place_);
        }

        reference operator*() const { return **place_; }
        pointer operator->() const { return *place_; }
        reference operator[](difference_type offset) const { return *place_[offset]; }
        Iterator& operator++() { return *this += 1; }
        Iterator operator++(int) { return std::exchange(*this, *this + 1); }
        Iterator& operator--() { return *this -= 1; }
        Iterator operator--(int) { return std::exchange(*this, *this - 1); }
        Iterator& operator+=(difference_type offset) {
            place_ += offset;
            return *this;
        }
        Iterator& operator-=(difference_type offset) { return *this += -offset; }
        friend Iterator operator+(Iterator it, difference_type offset) { return it += offset; }
        friend Iterator operator+(difference_type offset, Iterator it) { return it += offset; }
        friend Iterator operator-(Iterator it, difference_type offset) { return it -= offset; }
        friend difference_type operator-(Iterator left, Iterator right) { return left.place_ - right.place_; }
        friend bool operator==(Iterator left, Iterator right) { return left.place_ == right.place_; }
        friend auto operator<=>(Iterator left, Iterator right) { return left.place_ <=> right.place_; }

    private:
        friend class NameMap;
        value_type* const* place_ = nullptr;
    };

public:
    using iterator = Iterator<value_type>;
    using const_iterator = Iterator<const value_type>;

    NameMap() = default;
    NameMap(std::initializer_list<value_type> entries) : NameMap(entries.begin(), entries.end()) {}
    template <std::input_iterator It>
    NameMap(It first, It last) : NameMap() {
        for (; first != last; ++first) emplace(first->first, first->second);
    }
    // By way of the default constructor: the destructor runs when a copy throws.
    NameMap(const NameMap& other) : NameMap() {
        reserve(other.size());
        for (const auto& entry : other) add(index_.size(), entry);
    }
    NameMap(NameMap&& other) noexcept : index_(std::move(other.index_)), block_(std::exchange(other.block_, nullptr)) {
        other.index_.clear();
    }
    NameMap& operator=(const NameMap& other) {
        if (this != &other) *this = NameMap(other);
        return *this;
    }
    NameMap& operator=(NameMap&& other) noexcept {
        NameMap taken(std::move(other));
        swap(taken);
        return *this;
    }
    ~NameMap() { clear(); }

    void swap(NameMap& other) noexcept {
        index_.swap(other.index_);
        std::swap(block_, other.block_);
    }
    friend void swap(NameMap& left, NameMap& right) noexcept { left.swap(right); }

    [[nodiscard]] bool empty() const noexcept { return index_.empty(); }
    [[nodiscard]] size_type size() const noexcept { return index_.size(); }
    [[nodiscard]] iterator begin() noexcept { return iterator(index_.data()); }
    [[nodiscard]] iterator end() noexcept { return iterator(index_.data() + index_.size()); }
    [[nodiscard]] const_iterator begin() const noexcept { return const_iterator(index_.data()); }
    [[nodiscard]] const_iterator end() const noexcept { return const_iterator(index_.data() + index_.size()); }

    [[nodiscard]] iterator lower_bound(std::string_view name) noexcept { return begin() + position_of(name); }
    [[nodiscard]] const_iterator lower_bound(std::string_view name) const noexcept {
        return begin() + position_of(name);
    }
    [[nodiscard]] iterator find(std::string_view name) noexcept {
        const auto found = lower_bound(name);
        return found != end() && found->first == name ? found : end();
    }
    [[nodiscard]] const_iterator find(std::string_view name) const noexcept {
        const auto found = lower_bound(name);
        return found != end() && found->first == name ? found : end();
    }
    [[nodiscard]] bool contains(std::string_view name) const noexcept { return find(name) != end(); }
    [[nodiscard]] size_type count(std::string_view name) const noexcept { return contains(name) ? 1 : 0; }
    /// Throws std::out_of_range when there is no such entry.
    [[nodiscard]] T& at(std::string_view name) { return const_cast<T&>(std::as_const(*this).at(name)); }
    [[nodiscard]] const T& at(std::string_view name) const {
        const auto found = find(name);
        if (found == end()) throw std::out_of_range("no entry \"" + std::string(name) + "\"");
        return found->second;
    }

    /// The entry's value; a new one is made from nothing.
    T& operator[](std::string_view name) { return try_emplace(name).first->second; }

    /// What is there stays.
    template <typename... Args>
    std::pair<iterator, bool> try_emplace(std::string_view name, Args&&... args) {
        const auto position = position_of(name);
        if (position < size() && index_[position]->first == name) return {begin() + offset(position), false};
        add(position, std::piecewise_construct, std::forward_as_tuple(name),
            std::forward_as_tuple(std::forward<Args>(args)...));
        return {begin() + offset(position), true};
    }
    template <typename... Args>
    std::pair<iterator, bool> emplace(std::string_view name, Args&&... args) {
        return try_emplace(name, std::forward<Args>(args)...);
    }
    std::pair<iterator, bool> insert(value_type entry) { return try_emplace(entry.first, std::move(entry.second)); }
    template <typename Content>
    std::pair<iterator, bool> insert_or_assign(std::string_view name, Content&& content) {
        auto [entry, added] = try_emplace(name, std::forward<Content>(content));
        // Only an entry that is new has taken the content.
        if (!added) entry->second = std::forward<Content>(content);
        return {entry, added};
    }

    size_type erase(std::string_view name) {
        const auto found = find(name);
        if (found == end()) return 0;
        erase(found);
        return 1;
    }
    /// Returns what followed it.
    iterator erase(const_iterator entry) {
        const auto position = entry.place_ - index_.data();
        auto* const erased = index_[static_cast<size_type>(position)];
        index_.erase(index_.begin() + position);
        give_back(erased);
        return begin() + position;
    }
    iterator erase(iterator entry) { return erase(const_iterator(entry)); }
    template <typename Predicate>
    friend size_type erase_if(NameMap& map, Predicate predicate) {
        const auto kept = std::stable_partition(map.index_.begin(), map.index_.end(),
                                                [&](const value_type* entry) { return !predicate(*entry); });
        const auto erased = static_cast<size_type>(map.index_.end() - kept);
        for (auto entry = kept; entry != map.index_.end(); ++entry) map.give_back(*entry);
        map.index_.erase(kept, map.index_.end());
        return erased;
    }

    void clear() noexcept {
        for (auto* entry : index_) std::destroy_at(entry);
        index_.clear();
        while (block_ != nullptr) {
            auto* const block = std::exchange(block_, block_->before);
            std::destroy_n(block->slots(), block->capacity);
            ::operator delete(block, std::align_val_t(alignof(Block)));
        }
    }
    /// Makes room for that many entries in all, in one block.
    void reserve(size_type count) {
        if (count <= size()) return;
        index_.reserve(count);
        if (room() < count - size()) add_block(count - size());
    }

    friend bool operator==(const NameMap& left, const NameMap& right) {
        return std::equal(left.begin(), left.end(), right.begin(), right.end());
    }

    /// Fills a map with names in any order, of which each may come once: what a decoder reads. Sorting at the
    /// end, and only where it is needed, bounds the work whatever the order.
    class Builder {
    public:
        explicit Builder(size_type count) { map_.reserve(count); }
        /// The reference stays valid. Names are compared only to tell whether they come sorted.
        template <typename... Args>
        T& add(std::string_view name, Args&&... args) {
            sorted_ = sorted_ && (map_.empty() || comes_before(map_.index_.back()->first, name));
            return map_.add(map_.size(), std::piecewise_construct, std::forward_as_tuple(name),
                            std::forward_as_tuple(std::forward<Args>(args)...));
        }
        /// Nothing when a name came twice. The builder is empty then.
        [[nodiscard]] std::optional<NameMap> finish() {
            NameMap map = std::move(map_);
            if (std::exchange(sorted_, true)) return map;
            const auto name = [](const value_type* entry) -> const std::string& { return entry->first; };
            std::ranges::sort(map.index_, {}, name);
            if (std::ranges::adjacent_find(map.index_, {}, name) != map.index_.end()) return std::nullopt;
            return map;
        }

    private:
        NameMap map_;
        bool sorted_ = true;
    };

private:
    /// Raw memory for an entry, or a link in the list of free ones.
    union Slot {
        Slot() {}  // NOLINT(*-member-init): raw memory until an entry is made in it
        ~Slot() {}
        Slot(const Slot&) = delete;
        Slot& operator=(const Slot&) = delete;
        Slot* next_free;
        value_type entry;
    };
    /// `capacity` slots lie behind it. The newest block, which holds all others, has the list of free slots.
    struct alignas(std::max_align_t) Block {
        Block* before;
        Slot* free;
        size_type capacity;
        size_type used;  ///< of its slots; those that were erased are in the list
        Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
    };

    /// As `left < right`: names are short, and a call of memcmp for each costs more than comparing them.
    [[nodiscard]] static bool comes_before(std::string_view left, std::string_view right) noexcept {
        const auto common = std::min(left.size(), right.size());
        size_type at = 0;
        for (std::uint64_t ours = 0, theirs = 0; at + sizeof ours <= common; at += sizeof ours) {
            std::memcpy(&ours, left.data() + at, sizeof ours);
            std::memcpy(&theirs, right.data() + at, sizeof theirs);
            if (ours != theirs) break;
        }
        for (; at < common; ++at) {
            if (left[at] != right[at]) {
                return static_cast<unsigned char>(left[at]) < static_cast<unsigned char>(right[at]);
            }
        }
        return left.size() < right.size();
    }

    static std::ptrdiff_t offset(size_type position) { return static_cast<std::ptrdiff_t>(position); }

    /// Where the name is, or would be.
    [[nodiscard]] size_type position_of(std::string_view name) const noexcept {
        if (index_.empty() || comes_before(index_.back()->first, name)) return index_.size();
        const auto less = [](const value_type* entry, std::string_view wanted) {
            return comes_before(entry->first, wanted);
        };
        return static_cast<size_type>(std::lower_bound(index_.begin(), index_.end(), name, less) - index_.begin());
    }

    void give_back(value_type* entry) noexcept {
        std::destroy_at(entry);
        auto* const slot = reinterpret_cast<Slot*>(entry);
        slot->next_free = std::exchange(block_->free, slot);
    }

    /// Without looking for more than the end of the newest block.
    [[nodiscard]] size_type room() const noexcept { return block_ != nullptr ? block_->capacity - block_->used : 0; }

    void add_block(size_type capacity) {
        static_assert(alignof(Slot) <= alignof(Block));
        void* const memory = ::operator new(sizeof(Block) + capacity * sizeof(Slot), std::align_val_t(alignof(Block)));
        auto* const free = block_ != nullptr ? block_->free : nullptr;
        block_ = new (memory) Block{block_, free, capacity, 0};
        std::uninitialized_default_construct_n(block_->slots(), capacity);
    }

    template <typename... Args>
    T& add(size_type position, Args&&... args) {
        constexpr size_type kFirstBlock = 4;
        // Whatever throws comes before anything is changed, but for room that was made.
        if (index_.size() == index_.capacity()) index_.reserve(std::max(kFirstBlock, 2 * index_.size()));
        const bool reused = block_ != nullptr && block_->free != nullptr;
        if (!reused && room() == 0) add_block(std::max(kFirstBlock, index_.size()));
        auto* const slot = reused ? block_->free : block_->slots() + block_->used;
        auto* const next_free = reused ? slot->next_free : nullptr;
        auto* const entry = std::construct_at(&slot->entry, std::forward<Args>(args)...);
        if (reused) {
            block_->free = next_free;
        } else {
            ++block_->used;
        }
        index_.insert(index_.begin() + offset(position), entry);
        return entry->second;
    }

    std::vector<value_type*> index_;  ///< in the order of names
    Block* block_ = nullptr;          ///< the newest; owned, with those before it
};

}  // namespace rankexec
