package model

// What media cost, by their length in base64: rather too much than too little. A picture is at most some 5,000 tokens whatever its size, a page of a
// PDF some 2,500, a minute of sound 2,000.
const (
	mediaTokens       = 1600
	mediaBytesPerUnit = 32
)

// mostPerItem is what one thing that is not text may cost at the very most: a document of a thousand pages, which may all be the same few bytes, or
// an hour of film fill any model. A picture is a picture.
const (
	mostPerItem    = 1 << 20
	mostPerPicture = 8 << 10
	// mostHidden is what a vendor adds to a prompt: a few words of its own, more where there are tools.
	mostHidden = 1 << 10
)

// atMost is how many tokens a request's body can have: no token is shorter than a byte.
func atMost(body []byte, media, pictures, others int64) int64 {
	return int64(len(body)) - media + pictures*mostPerPicture + others*mostPerItem + mostHidden
}

// estimate says how many tokens a request's body may have. A letter counts a quarter of a token, which is what prose and code have; anything
// else counts half of one, because digits, signs and other scripts have fewer to a token: who fills a request with them does not get more for it.
func estimate(body []byte, media, items int64) int64 {
	var letters int64
	for _, c := range body {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c == ' ' {
			letters++
		}
	}
	// Base64 is mostly letters; it is taken out of both counts in their proportion.
	others := int64(len(body)) - letters
	letters -= media * 4 / 5
	others -= media / 5
	return max(letters, 0)/4 + max(others, 0)/2 + media/mediaBytesPerUnit + items*mediaTokens
}

// estimateText is that of so many bytes of an answer.
func estimateText(bytes int64) int64 { return (bytes + 2) / 3 }
